// The live feed: rows come as HTML that the server has escaped; the newest stands first.
"use strict";
(() => {
  const MAX_ROWS = 300;
  const feed = document.getElementById("feed");
  const status = document.getElementById("live");
  const pause = document.getElementById("pause");
  let paused = false;
  let held = [];

  const show = (html) => {
    feed.insertAdjacentHTML("afterbegin", html);
    document.getElementById("empty").hidden = true;
    while (feed.children.length > MAX_ROWS) feed.lastElementChild.remove();
  };
  const say = () => {
    status.textContent = paused ? `paused, ${held.length} waiting` : "live";
  };

  const address = new URL("/activity/stream", location.href);
  address.searchParams.set("after", feed.dataset.after);
  if (feed.dataset.event) address.searchParams.set("event", feed.dataset.event);
  const source = new EventSource(address);
  source.onopen = say;
  source.onerror = () => { status.textContent = "reconnecting"; };
  source.onmessage = (message) => {
    if (paused) held.push(message.data); else show(message.data);
    say();
  };
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Resume" : "Pause";
    if (!paused) { held.forEach(show); held = []; }
    say();
  });
})();
