// The kiosk: asks for the next code before the present one ends, and goes on asking after an error.
// When no fresh code could be had in time the old one is veiled, so that nobody scans a dead one.

const BEFORE_END_MS = 1500;
const AFTER_ERROR_MS = 3000;
const LONGEST_WAIT_MS = 30000;

const screen = document.getElementById("kiosk");
const symbol = document.getElementById("symbol");
const arrivals = document.getElementById("arrivals");
const bar = document.getElementById("left");
const trouble = document.getElementById("trouble");
let endsAtMs = Date.now();
let lastsMs = 1;

async function refresh() {
  let waitMs = AFTER_ERROR_MS;
  try {
    const answer = await fetch(screen.dataset.source, { cache: "no-store" });
    if (answer.status === 401 || answer.status === 403) {
      location.reload();
      return;
    }
    if (!answer.ok) throw new Error(String(answer.status));
    const now = await answer.json();
    symbol.innerHTML = now.svg;
    arrivals.textContent = now.arrivals;
    // A poster's code has no end; the count of arrivals is refreshed all the same.
    lastsMs = now.lasts_ms ?? LONGEST_WAIT_MS;
    endsAtMs = Date.now() + (now.left_ms ?? LONGEST_WAIT_MS);
    bar.hidden = now.left_ms === null;
    waitMs = Math.min(LONGEST_WAIT_MS, Math.max(1000, endsAtMs - Date.now() - BEFORE_END_MS));
    trouble.hidden = true;
  } catch {
    trouble.hidden = false;
  }
  setTimeout(refresh, waitMs);
}

function showTime() {
  const leftMs = Math.max(0, endsAtMs - Date.now());
  bar.value = leftMs / lastsMs;
  document.body.classList.toggle("stale", leftMs === 0);
}

// A tablet at a door must not fall asleep; where the browser cannot promise that, the kiosk works all the same.
async function stayAwake() {
  try {
    await navigator.wakeLock?.request("screen");
  } catch {
    // Refused while the page is hidden; the next visibilitychange asks again.
  }
}

document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") stayAwake();
});
document.getElementById("full")?.addEventListener("click", () => document.documentElement.requestFullscreen?.());
stayAwake();
refresh();
setInterval(showTime, 200);
