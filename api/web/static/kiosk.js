// The kiosk: asks for the code of this moment every few seconds, and goes on asking after an error, a cut or a sleep.
// A symbol is shown only until its own end; when no fresh one came in time it is taken away, not dimmed.

const ASK_EVERY_MS = 5000;
const AFTER_ERROR_MS = 2000;
const ANSWER_WITHIN_MS = 8000;

const screenPart = document.getElementById("kiosk");
const symbol = document.getElementById("symbol");
const bar = document.getElementById("left");
const trouble = document.getElementById("trouble");
const full = document.getElementById("full");
const awake = document.getElementById("awake");

// Two clocks: the wall clock may be set, the other one may stand still while the tablet sleeps. Whichever says that
// the symbol has ended is believed.
let ends = null;
let lastsMs = 1;
let asking = 0;
let timer = 0;

function valid(leftMs) {
  ends = leftMs === null ? null : { wall: Date.now() + leftMs, steady: performance.now() + leftMs };
}

function leftMs() {
  return ends ? Math.max(0, Math.min(ends.wall - Date.now(), ends.steady - performance.now())) : Infinity;
}

function showTime() {
  const left = leftMs();
  if (ends) bar.value = Math.min(1, left / lastsMs);
  const stale = left === 0;
  if (stale && !document.body.classList.contains("stale")) ask();
  document.body.classList.toggle("stale", stale);
  if (stale) trouble.hidden = false;
}

function say(id, text) {
  const place = document.getElementById(id);
  if (place.textContent !== text) place.textContent = text;
}

async function ask() {
  clearTimeout(timer);
  const mine = ++asking;
  let waitMs = AFTER_ERROR_MS;
  try {
    const sentAt = Date.now();
    const answer = await fetch(screenPart.dataset.source, {
      cache: "no-store",
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    });
    if (answer.status === 401 || answer.status === 403) {
      location.reload();
      return;
    }
    if (!answer.ok) throw new Error(String(answer.status));
    const now = await answer.json();
    if (mine !== asking) return;
    symbol.innerHTML = now.svg;
    lastsMs = now.lasts_ms ?? 1;
    // The way of the answer counts against the symbol: it may end a little early, never late.
    valid(now.left_ms === null ? null : now.left_ms - (Date.now() - sentAt));
    bar.hidden = now.left_ms === null;
    say("closed", now.closed);
    document.body.classList.toggle("closed", Boolean(now.closed));
    document.body.classList.toggle("full", now.full);
    say("arrivals", now.arrivals);
    say("seats", now.seats);
    document.getElementById("seats").hidden = !now.seats;
    say("latest", now.latest.join(" · "));
    document.getElementById("latest-line").hidden = !now.latest.length;
    trouble.hidden = true;
    waitMs = Math.max(500, Math.min(ASK_EVERY_MS, leftMs() + 50));
  } catch {
    if (mine !== asking) return;
    trouble.hidden = false;
  }
  showTime();
  timer = setTimeout(ask, waitMs);
}

// A tablet at a door must not fall asleep. Some browsers grant that only after a touch, some not at all without
// https; a moving picture that nobody sees keeps those awake, and it too needs a touch to begin.
let lock = null;
async function stayAwake(touched) {
  try {
    lock = await navigator.wakeLock.request("screen");
    lock.addEventListener("release", () => { awake.hidden = document.hidden; });
    awake.hidden = true;
  } catch {
    awake.hidden = touched === true && (await playPicture());
  }
}

async function playPicture() {
  try {
    const canvas = document.createElement("canvas");
    const pen = canvas.getContext("2d");
    setInterval(() => pen.fillRect(0, 0, 1, 1), 1000);
    const video = document.createElement("video");
    Object.assign(video, { muted: true, playsInline: true, srcObject: canvas.captureStream(1) });
    await video.play();
    return true;
  } catch {
    return false;
  }
}

function back() {
  if (document.hidden) return;
  showTime();
  ask();
  if (!lock || lock.released) stayAwake();
}

document.addEventListener("visibilitychange", back);
addEventListener("online", back);
addEventListener("pageshow", (event) => { if (event.persisted) back(); });
awake.addEventListener("click", () => stayAwake(true));
document.addEventListener("pointerdown", () => { if (!lock || lock.released) stayAwake(true); });
full.hidden = !document.documentElement.requestFullscreen;
full.addEventListener("click", () => document.documentElement.requestFullscreen().catch(() => {}));
document.addEventListener("fullscreenchange", () => { full.hidden = Boolean(document.fullscreenElement); });

if (screenPart.dataset.leftMs) {
  lastsMs = Number(screenPart.dataset.lastsMs);
  valid(Number(screenPart.dataset.leftMs) - performance.now());
}
stayAwake();
ask();
setInterval(showTime, 200);
