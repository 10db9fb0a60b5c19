// What every page needs: forms that are sent once, countdowns, copying, printing, and parts that refresh themselves.
// Every page works without this file; it only saves taps and reloads.

const TICK_MS = 1000;
const POLL_AFTER_ERROR_MS = 5000;

// The server's clock decides about expiry, the phone's may be wrong: keep the difference of the two.
const serverNow = Number(document.documentElement.dataset.now || Date.now());
const skewMs = serverNow - Date.now();

function sendOnce(event) {
  const form = event.target;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "1";
  for (const button of form.querySelectorAll("button")) button.setAttribute("aria-busy", "true");
}

function showCountdowns() {
  for (const place of document.querySelectorAll("[data-until]")) {
    const leftMs = Math.max(0, Number(place.dataset.until) - (Date.now() + skewMs));
    const seconds = Math.ceil(leftMs / 1000);
    const shown = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    if (place.textContent !== shown) place.textContent = shown;
    const bar = document.getElementById(place.dataset.bar || "");
    if (bar) bar.value = Math.min(bar.max, seconds);
  }
}

async function copy(event) {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(source.textContent.trim());
    (button.querySelector("span") || button).textContent = button.dataset.copied;
  } catch {
    // Without the clipboard (plain http on a phone) the text is selected, so that a long press copies it.
    getSelection().selectAllChildren(source);
  }
}

// A part with data-poll asks for itself again until the server says that its state is final. A phone in a pocket
// asks nothing; it asks at once when it is looked at again.
async function poll(part) {
  let waitMs = Number(part.dataset.pollMs);
  try {
    if (document.hidden) await new Promise((seen) => document.addEventListener("visibilitychange", seen, { once: true }));
    const answer = await fetch(part.dataset.poll, { headers: { Accept: "text/html" }, cache: "no-store" });
    if (!answer.ok) throw new Error(String(answer.status));
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(part.id);
    if (fresh && fresh.dataset.state !== part.dataset.state) {
      part.replaceWith(document.adoptNode(fresh));
      part = fresh;
      showCountdowns();
      navigator.vibrate?.(80);
    }
  } catch {
    waitMs = POLL_AFTER_ERROR_MS;
  }
  pollLater(part, waitMs);
}

function pollLater(part, waitMs = Number(part.dataset.pollMs)) {
  if (part.dataset.poll) setTimeout(poll, waitMs, part);
}

document.addEventListener("submit", sendOnce);
document.addEventListener("click", copy);
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-print]")) print();
});
// Coming back with the browser's button must not find a form that believes it was sent.
addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
});
for (const button of document.querySelectorAll("[data-needs-script]")) button.hidden = false;
showCountdowns();
setInterval(showCountdowns, TICK_MS);
for (const part of document.querySelectorAll("[data-poll]")) pollLater(part);
const first = document.querySelector("form[data-send-at-once]");
if (first) first.requestSubmit();
