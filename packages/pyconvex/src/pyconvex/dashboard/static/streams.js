// Log streams: keeps their state current while the page is seen, greys out topics that don't count,
// copies secrets.
"use strict";
(() => {
  const EVERY_MS = 2000;
  const said = document.getElementById("said");
  const follow = document.querySelector("[data-follow]");

  const update = async () => {
    const answer = await fetch(follow.dataset.follow);
    if (answer.status === 401) { location.reload(); return; }
    if (!answer.ok) return;
    const brought = document.createElement("template");
    brought.innerHTML = await answer.text();
    for (const now of brought.content.children) {
      const shown = follow.querySelector(`[data-live="${CSS.escape(now.dataset.live)}"]`);
      if (!shown || shown.outerHTML === now.outerHTML) continue;
      if (shown.dataset.state !== now.dataset.state) said.textContent = now.dataset.state;
      shown.replaceWith(now);
    }
  };
  const turn = async () => {
    try { if (!document.hidden) await update(); } catch { /* the server is away: asked again */ }
    setTimeout(turn, EVERY_MS);
  };
  if (follow) setTimeout(turn, EVERY_MS);

  const all = document.querySelector("[data-all]");
  if (all) {
    const topics = document.querySelectorAll("[data-topics] input");
    const settle = () => { for (const one of topics) one.disabled = all.checked; };
    all.addEventListener("change", settle);
    settle();
  }

  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", async () => {
      const source = document.getElementById(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(source.textContent);
        said.textContent = "copied";
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(source);
        said.textContent = "selected; copy it with the keyboard";
      }
    });
  }

  document.querySelector("[aria-invalid]")?.focus();
})();
