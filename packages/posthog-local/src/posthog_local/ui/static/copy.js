// Copies what stands in the element that a button names.
"use strict";
for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy);
    const said = document.getElementById("said");
    try {
      await navigator.clipboard.writeText(source.textContent);
      said.textContent = `${button.dataset.copy.replaceAll("-", " ")} copied`;
    } catch {
      getSelection().selectAllChildren(source);
      said.textContent = "selected; copy it with the keyboard";
    }
  });
}
