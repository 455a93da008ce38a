// Follows the logs: requests come as HTML that the server has escaped. The request that told something
// last stands first; what is there is bounded, and so is what waits while paused.
"use strict";
(() => {
  const MAX_REQUESTS = 300;
  const MAX_RUNS = 100;
  const MAX_HELD = 200;
  const feed = document.getElementById("feed");
  const live = document.getElementById("live");
  const pause = document.getElementById("pause");
  const missed = document.getElementById("missed");
  let paused = false;
  let held = [];
  let skips = 0;

  const say = (text) => { if (live.textContent !== text) live.textContent = text; };
  const sayState = () => say(paused ? `paused, ${held.length} waiting` : "live");
  const note = (text, href) => {
    missed.textContent = text;
    if (href) {
      const link = document.createElement("a");
      link.href = href;
      link.textContent = "Load the page again";
      missed.append(" ", link, ".");
    }
    missed.hidden = false;
  };
  const skipped = (count) => {
    skips += count;
    note(`${skips} executions came too fast to be shown.`);
  };

  const localTimes = (root) => {
    for (const time of root.querySelectorAll("time[data-ms]")) {
      const at = new Date(Number(time.dataset.ms));
      const digits = (number, size) => String(number).padStart(size, "0");
      time.textContent = `${digits(at.getHours(), 2)}:${digits(at.getMinutes(), 2)}:${digits(at.getSeconds(), 2)}.${digits(at.getMilliseconds(), 3)}`;
      time.title = at.toString();
    }
  };
  const known = () => new Map([...feed.children].map((one) => [one.dataset.request, one]));

  const show = (html) => {
    const brought = document.createElement("template");
    brought.innerHTML = html;
    localTimes(brought.content);
    const there = known();
    for (const request of [...brought.content.children].reverse()) {
      const before = there.get(request.dataset.request);
      if (before) {
        const runs = before.querySelector(".runs");
        runs.append(...request.querySelector(".runs").children);
        while (runs.children.length > MAX_RUNS) runs.firstElementChild.remove();
        // What somebody is reading stays where it is.
        if (!before.contains(document.activeElement)) feed.prepend(before);
      } else {
        feed.prepend(request);
      }
    }
    while (feed.children.length > MAX_REQUESTS) feed.lastElementChild.remove();
    document.getElementById("empty").hidden = true;
  };

  localTimes(feed);
  const source = new EventSource(feed.dataset.follow);
  source.onopen = sayState;
  source.onerror = () => {
    if (source.readyState !== EventSource.CLOSED) { say("reconnecting"); return; }
    say("ended");
    note("The logs can't be followed any more: the session has ended, or too many pages follow.", location.href);
  };
  source.onmessage = (message) => {
    if (!paused) { show(message.data); return; }
    held.push(message.data);
    if (held.length > MAX_HELD) {
      held.shift();
      note("The oldest of what came while paused is left out.");
    }
    sayState();
  };
  source.addEventListener("skipped", (message) => skipped(Number(message.data)));
  source.addEventListener("forgotten", () => {
    note("Some executions in between are not known any more: the server has restarted, or keeps no more.");
  });
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Go on" : "Pause";
    if (!paused) { held.forEach(show); held = []; }
    sayState();
  });
  addEventListener("pagehide", () => source.close());
})();
