// Plays a recording with posthog-js's own Replayer. Recorded pages run no code: the frame is sandboxed.
import { Replayer } from "/static/rrweb.js";

(async () => {
  const stage = document.getElementById("stage");
  const say = (text) => { document.getElementById("said").textContent = text; };
  const button = document.getElementById("play");
  const seek = document.getElementById("seek");
  const clock = document.getElementById("clock");

  const events = await (await fetch(stage.dataset.events)).json();
  if (events.length < 2 || !events.some((event) => event.type === 2)) {
    say("Nothing to play yet: no full snapshot of the page has arrived.");
    return;
  }
  const player = new Replayer(events, { root: stage, mouseTail: false, showWarning: false });
  player.iframe.title = "The recorded page";
  const total = player.getMetaData().totalTime;
  let playing = false;

  const fit = () => {
    const frame = player.iframe;
    const scale = Math.min(1, stage.clientWidth / (frame.offsetWidth || 1));
    player.wrapper.style.transform = `scale(${scale})`;
    player.wrapper.style.transformOrigin = "0 0";
    stage.style.height = `${frame.offsetHeight * scale}px`;
  };
  const time = (ms) => `${Math.floor(ms / 60000)}:${String(Math.floor(ms / 1000) % 60).padStart(2, "0")}`;
  const show = (at) => {
    seek.value = at;
    clock.textContent = `${time(at)} / ${time(total)}`;
  };
  const run = (on, at) => {
    playing = on;
    button.textContent = on ? "Pause" : "Play";
    if (on) player.play(at); else player.pause(at);
  };

  seek.max = total;
  seek.disabled = button.disabled = false;
  player.on("resize", fit);
  player.on("finish", () => {
    // Not `pause`: it would go back to just before the last event.
    playing = false;
    button.textContent = "Play";
    show(total);
    stage.dataset.state = "finished";
  });
  window.addEventListener("resize", fit);
  button.addEventListener("click", () => {
    const at = player.getCurrentTime();
    run(!playing, at >= total ? 0 : at);
  });
  seek.addEventListener("input", () => { run(playing, Number(seek.value)); show(Number(seek.value)); });
  const begin = player.getMetaData().startTime;
  for (const moment of document.querySelectorAll("[data-at]")) {
    moment.addEventListener("click", () => {
      const at = Math.min(total, Math.max(0, Number(moment.dataset.at) - begin));
      run(playing, at);
      show(at);
    });
  }
  document.getElementById("speed").addEventListener("change", (change) => {
    player.setConfig({ speed: Number(change.target.value) });
  });
  setInterval(() => { if (playing) show(player.getCurrentTime()); }, 200);
  player.pause(0);
  fit();
  show(0);
  stage.dataset.state = "ready";
})();
