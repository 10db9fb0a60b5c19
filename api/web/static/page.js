// What every page needs: forms that are sent once, countdowns, copying, printing, parts that refresh themselves, and
// the service worker. Every page works without this file; it only saves taps and reloads.

const TICK_MS = 500;
const POLL_AFTER_ERROR_MS = 4000;
const ANSWER_WITHIN_MS = 10000;
const RESEND_AFTER_MS = 12000;
const root = document.documentElement;

// The server's clock decides about expiry, the phone's may be wrong: keep the difference of the two. A page that
// was kept on the device tells an old time (data-was), so that the difference measured last is taken.
let skewMs = Number(read("kgo-skew-ms") || 0);
if (root.dataset.now) learnSkew(root.dataset.now, sinceAnswered());

function read(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

// On a slow network this file runs seconds after the page was made: those do not count as a difference of clocks.
function sinceAnswered() {
  const [page] = performance.getEntriesByType("navigation");
  return page?.responseStart ? Math.max(0, performance.now() - page.responseStart) : 0;
}

function learnSkew(serverNow, agoMs = 0) {
  skewMs = Number(serverNow) + agoMs - Date.now();
  try {
    localStorage.setItem("kgo-skew-ms", String(skewMs));
  } catch {
    // A browser that stores nothing measures again on the next page.
  }
}

function sendOnce(event) {
  const form = event.target;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "1";
  for (const button of form.querySelectorAll("button")) button.setAttribute("aria-busy", "true");
  setTimeout(mayBeSent, RESEND_AFTER_MS, form);
}

// An answer that never came, or the browser's stop button, must not leave a dead button. What is sent a second time
// bears the same key and counts once.
function mayBeSent(form) {
  delete form.dataset.sent;
  for (const button of form.querySelectorAll("[aria-busy]")) button.removeAttribute("aria-busy");
}

// Time left is computed from the instant of expiry, never counted down: a locked phone shows the truth when it wakes.
function showCountdowns() {
  for (const place of document.querySelectorAll("[data-until]")) {
    const leftMs = Math.max(0, Number(place.dataset.until) - (Date.now() + skewMs));
    const seconds = Math.ceil(leftMs / 1000);
    const shown = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    if (place.textContent !== shown) place.textContent = shown;
    const bar = document.getElementById(place.dataset.bar || "");
    if (bar) bar.value = Math.min(bar.max, seconds);
    place.closest("[data-state]")?.classList.toggle("ended", seconds === 0);
  }
}

// A field for date and time shows the browser's own calendar and era; below it stands what it says in the page's.
// A year that only the Buddhist era has reached is taken as one of it, as the server takes it.
const BUDDHIST_YEARS_FROM = 2400;
const BUDDHIST_ERA_OFFSET = 543;
const calendar = root.lang === "th" ? "th-TH-u-ca-buddhist-nu-latn" : "en-GB";
const inWords = { weekday: "long", day: "numeric", month: "long", year: "numeric", timeZone: "UTC" };

function speak(field) {
  const place = document.getElementById(`s-${field.name}`);
  if (!place) return;
  const typed = /^(\d{4})(-\d\d-\d\d)T(\d\d:\d\d)/.exec(field.value);
  const year = typed && Number(typed[1]) - (Number(typed[1]) >= BUDDHIST_YEARS_FROM ? BUDDHIST_ERA_OFFSET : 0);
  const moment = typed && new Date(`${year}${typed[2]}T00:00Z`);
  const known = { time: typed?.[3] };
  if (moment && !Number.isNaN(moment.getTime()))
    for (const { type, value } of new Intl.DateTimeFormat(calendar, inWords).formatToParts(moment)) known[type] = value;
  place.textContent = known.day ? place.dataset.words.replace(/\{(\w+)\}/g, (_, name) => known[name]) : "";
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

async function fetchPage(address) {
  const answer = await fetch(address, {
    headers: { Accept: "text/html" },
    cache: "no-store",
    signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
  });
  if (!answer.ok) throw new Error(String(answer.status));
  const answeredAt = Date.now();
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (fresh.documentElement.dataset.now) learnSkew(fresh.documentElement.dataset.now, Date.now() - answeredAt);
  return fresh;
}

// A part with data-poll asks for itself again until the server says that its state is final. A phone in a pocket
// asks nothing; it asks at once when it is looked at again.
async function poll(part) {
  let waitMs = Number(part.dataset.pollMs);
  try {
    if (document.hidden) await new Promise((seen) => document.addEventListener("visibilitychange", seen, { once: true }));
    const fresh = (await fetchPage(part.dataset.poll)).getElementById(part.id);
    if (fresh && fresh.dataset.state !== part.dataset.state) {
      if ("reloads" in part.dataset) return location.reload();
      part.replaceWith(document.adoptNode(fresh));
      part = fresh;
      navigator.vibrate?.([80, 60, 80]);
    }
    document.getElementById("as-of")?.setAttribute("hidden", "");
    showCountdowns();
  } catch {
    waitMs = POLL_AFTER_ERROR_MS;
  }
  pollLater(part, waitMs);
}

function pollLater(part, waitMs = Number(part.dataset.pollMs)) {
  if (part.dataset.poll) setTimeout(poll, waitMs, part);
}

// A page that was kept on the device becomes a fresh one as soon as the server answers again.
async function freshen() {
  try {
    await fetchPage(location.href);
    location.reload();
  } catch {
    setTimeout(freshen, POLL_AFTER_ERROR_MS);
  }
}

// The worker keeps the files of this page, and the wallet of somebody whom it has not met before.
async function keepOffline() {
  const { worker, wallet } = root.dataset;
  if (!worker || !navigator.serviceWorker) return;
  const first = !navigator.serviceWorker.controller;
  const known = await navigator.serviceWorker.register(worker);
  const { active } = await navigator.serviceWorker.ready;
  const files = performance.getEntriesByType("resource").map((one) => one.name);
  const own = files.filter((name) => new URL(name).pathname.startsWith("/assets/"));
  (active ?? known.active).postMessage({
    files: [...new Set([...own, ...(root.dataset.files ?? "").split(" ").filter(Boolean)])],
    pages: first && wallet ? [wallet] : [],
  });
}

// In the list on top of a form that was refused, each error is named by its field.
function nameErrors() {
  for (const link of document.querySelectorAll(".notice a[href^='#f-']")) {
    const label = document.querySelector(`label[for="${link.hash.slice(1)}"]`);
    if (label) link.prepend(`${label.firstChild.textContent.trim()}: `);
  }
}

document.addEventListener("submit", sendOnce);
document.addEventListener("input", ({ target }) => {
  if (target.type === "datetime-local") speak(target);
});
document.addEventListener("click", copy);
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-print]")) print();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) showCountdowns();
});
// Coming back with the browser's button must not find a form that believes it was sent.
addEventListener("pageshow", () => {
  showCountdowns();
  document.querySelectorAll("input[type=datetime-local]").forEach(speak);
  for (const form of document.forms) mayBeSent(form);
});
for (const button of document.querySelectorAll("[data-needs-script]")) button.hidden = false;
nameErrors();
showCountdowns();
setInterval(showCountdowns, TICK_MS);
for (const part of document.querySelectorAll("[data-poll]")) pollLater(part);
for (const part of document.querySelectorAll("[data-without-cookies]")) part.hidden = navigator.cookieEnabled;
const first = document.querySelector("form[data-send-at-once]");
if (first) first.requestSubmit();
if (root.dataset.was && !document.getElementById("as-of")?.hidden) freshen();
addEventListener("load", () => keepOffline().catch(() => {}));
