// The till: six digits that send themselves, a camera in the page, and answers that are heard and seen at once.
//
// Forms and links with data-stay are fetched and put into this page instead of loading another one: so the browser
// still knows the tap that allows the sound, and the next customer's camera opens without asking. The server's pages
// are the same either way; without this file each step is a page of its own. Nothing is sent without a tap or a code.
//
// Where no answer comes, the page says so and asks by itself what became of it, see `recover`. Sound is an extra: a
// device that gives none, or fails at it, stops nothing.

const DIGITS = 6;
const LOOK_EVERY_MS = 350;
const FAILURES_TOLD = 4;
const CAMERA_REST_MS = 90000;
const ANSWER_WITHIN_MS = 12000;
const ASK_AGAIN_MS = 3000;
const SIDE_PX = 480;
const PHOTO_SIDE_PX = 640;
const MUTED = "kgo-till-muted";
const main = document.getElementById("content");
let camera = null;
let reopen = false;
let sounds = null;
let recovering = null;

const part = (name) => main.querySelector(`[data-${name}]`);

// Sound: two rising notes for yes, a low buzz for no, a short tick for "found, look". Muting is kept on the device.
function muted() {
  try {
    return localStorage.getItem(MUTED) === "1";
  } catch {
    return false;
  }
}

function showSound() {
  for (const button of document.querySelectorAll("[data-sound-toggle]")) {
    button.setAttribute("aria-pressed", String(!muted()));
  }
}

function wakeSounds() {
  try {
    sounds ??= window.AudioContext ? new AudioContext() : null;
    if (sounds?.state === "suspended") sounds.resume().catch(() => {});
  } catch {
    // No device to sound on: the colour and the shake say it.
  }
}

function note(hertz, atSeconds, seconds, shape, loudness) {
  const tone = sounds.createOscillator();
  const volume = sounds.createGain();
  const start = sounds.currentTime + atSeconds;
  tone.type = shape;
  tone.frequency.value = hertz;
  volume.gain.setValueAtTime(loudness, start);
  volume.gain.exponentialRampToValueAtTime(0.001, start + seconds);
  tone.connect(volume).connect(sounds.destination);
  tone.start(start);
  tone.stop(start + seconds);
}

const NOTES = {
  good: [[880, 0, 0.16, "sine", 0.5], [1318, 0.14, 0.4, "sine", 0.5]],
  bad: [[196, 0, 0.22, "square", 0.25], [147, 0.26, 0.45, "square", 0.25]],
  look: [[660, 0, 0.08, "triangle", 0.3]],
};
const SHAKES = { good: [80], bad: [200, 100, 200], look: [30] };

function sound(name) {
  if (!NOTES[name]) return;
  navigator.vibrate?.(SHAKES[name]);
  document.documentElement.dataset.sounded = muted() ? "" : name;
  if (muted() || !sounds) return;
  try {
    for (const one of NOTES[name]) note(...one);
  } catch {
    // As above.
  }
}

async function load(address, options = {}) {
  const answer = await fetch(address, {
    ...options,
    cache: "no-store",
    headers: { Accept: "text/html", ...options.headers },
    signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
  });
  const kind = answer.headers.get("Content-Type") ?? "";
  if (answer.status >= 500 || !kind.startsWith("text/html")) throw new Error(String(answer.status));
  return { answer, fresh: new DOMParser().parseFromString(await answer.text(), "text/html") };
}

// Going on without leaving: fetch a page and put its content into this one.
async function stay(address, options = {}) {
  const { answer, fresh } = await load(address, options);
  recovering = null;
  closeCamera();
  // A form that is answered in place keeps its address, which a reload can GET. Whoever comes back to a confirmation
  // finds its receipt, not the yes that somebody waits for.
  if (answer.ok) history.pushState({ till: true }, "", answer.url.replace(/[?&]fresh=1/, ""));
  document.title = fresh.title;
  main.replaceChildren(...fresh.getElementById("content").childNodes);
  for (const button of main.querySelectorAll("[data-needs-script]")) button.hidden = false;
  main.focus({ preventScroll: true });
  settle();
  scrollTo(0, 0);
  sound(part("sound")?.dataset.sound);
  if (reopen && part("camera")) openCamera();
}

function send(form, body) {
  stay(form.action, { method: "POST", body }).catch(() => {
    trouble(form);
    recover(form, body);
  });
}

function showTrouble(isShown) {
  const [shown, back] = [part("trouble"), part("back")];
  if (shown) shown.hidden = !isShown;
  if (back) back.hidden = true;
  if (shown && isShown) shown.scrollIntoView({ block: "center" });
}

function trouble(form) {
  showTrouble(true);
  if (form) {
    delete form.dataset.sent;
    for (const button of form.querySelectorAll("[aria-busy]")) button.removeAttribute("aria-busy");
  }
  sound("bad");
}

// After a tap without an answer: look, until there is one, at the page that the tap was made on. Where it still waits,
// nothing was taken, and only another tap takes. Where it waits no longer, the same tap is sent once more: it cannot
// move anything now, and its answer tells whether it was this one that did. A look-up is simply made again.
async function recover(form, body) {
  const mine = (recovering = {});
  while (recovering === mine) {
    await new Promise((done) => {
      setTimeout(done, ASK_AGAIN_MS);
      addEventListener("online", done, { once: true });
    });
    if (recovering !== mine || document.hidden) continue;
    try {
      const { fresh } = await load(location.href);
      if (recovering !== mine) return;
      recovering = null;
      showTrouble(false);
      const state = fresh.querySelector("[data-state]")?.dataset.state;
      if (form && (form.matches("[data-look]") || state !== part("state")?.dataset.state)) return send(form, body);
      if (form && part("back")) part("back").hidden = false;
    } catch {
      // Still nobody there.
    }
  }
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || !form.matches("[data-stay]")) return;
  event.preventDefault();
  wakeSounds();
  recovering = null;
  showTrouble(false);
  send(form, new URLSearchParams(new FormData(form, event.submitter)));
});

document.addEventListener("click", (event) => {
  wakeSounds();
  const link = event.target.closest("a[data-stay]");
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    stay(link.href).catch(() => location.assign(link.href));
  }
  if (event.target.closest("[data-camera]")) openCamera();
  if (event.target.closest("[data-camera-off]")) {
    reopen = false;
    closeCamera();
  }
  if (event.target.closest("[data-sound-toggle]")) {
    try {
      localStorage.setItem(MUTED, muted() ? "0" : "1");
    } catch {
      // A browser that keeps nothing stays loud.
    }
    showSound();
    sound("look");
  }
});
addEventListener("popstate", () => location.reload());

// Six digits, whatever the keyboard puts between them; Thai digits count as digits.
document.addEventListener("input", (event) => {
  const field = event.target;
  if (field.id !== "code") return;
  const plain = field.value.replace(/[๐-๙]/g, (digit) => String(digit.charCodeAt(0) - 0x0e50));
  const digits = plain.replace(/\D/g, "").slice(0, DIGITS);
  if (digits !== field.value) field.value = digits;
  if (digits.length === DIGITS) field.form.requestSubmit();
});

// The camera.
function why(name) {
  for (const one of main.querySelectorAll("[data-why]")) one.hidden = one.dataset.why !== name;
  const photo = part("photo-way");
  if (photo && name && name !== "empty") photo.hidden = false;
}

async function openCamera() {
  closeCamera();
  why("");
  part("scan-problem").hidden = true;
  if (!navigator.mediaDevices?.getUserMedia) return why(isSecureContext ? "none" : "plain");
  const mine = (camera = { stream: null, detector: await ownDetector() });
  try {
    mine.stream = await navigator.mediaDevices.getUserMedia({
      video: { facingMode: "environment", width: { ideal: 1280 }, height: { ideal: 960 } },
    });
  } catch (fault) {
    camera = null;
    return why(fault.name === "NotAllowedError" ? "denied" : "none");
  }
  if (camera !== mine || !part("viewer")) return stopTracks(mine);
  const video = part("viewer").querySelector("video");
  video.srcObject = mine.stream;
  part("viewer").hidden = false;
  part("camera").hidden = true;
  await video.play().catch(() => {});
  watch(mine, video, Date.now() + CAMERA_REST_MS);
}

function stopTracks(which) {
  for (const track of which.stream?.getTracks() ?? []) track.stop();
}

function closeCamera() {
  if (!camera) return;
  stopTracks(camera);
  camera = null;
  if (part("viewer")) part("viewer").hidden = true;
  if (part("camera")) part("camera").hidden = false;
}

async function ownDetector() {
  try {
    const formats = await BarcodeDetector.getSupportedFormats();
    return formats.includes("qr_code") ? new BarcodeDetector({ formats: ["qr_code"] }) : null;
  } catch {
    return null;
  }
}

// Looks again and again until something is found, the camera is closed or nobody came for a while.
async function watch(mine, video, untilMs) {
  let refused = "";
  let failures = 0;
  while (camera === mine) {
    if (Date.now() > untilMs || document.hidden) return closeCamera();
    try {
      const answer = await look(mine.detector, video, refused);
      if (camera !== mine) return;
      if (failures >= FAILURES_TOLD) showTrouble(false);
      failures = 0;
      if (answer.url) {
        reopen = true;
        return await stay(answer.url);
      }
      if (answer.problem && answer.problem !== refused) {
        refused = answer.problem;
        problem(refused);
      }
    } catch {
      // A look that failed is followed by the next one; several in a row mean that nobody answers.
      failures += 1;
      if (failures === FAILURES_TOLD) trouble();
    }
    await new Promise((done) => setTimeout(done, LOOK_EVERY_MS));
  }
}

async function look(detector, video) {
  if (!video.videoWidth) return {};
  if (detector) {
    const [found] = await detector.detect(video);
    return found ? ask(found.rawValue, "text/plain") : {};
  }
  const grey = pixels(video, video.videoWidth, video.videoHeight, SIDE_PX);
  return ask(grey.bytes, "application/octet-stream", grey.width);
}

// The middle of a picture as one grey byte a pixel.
function pixels(source, width, height, side) {
  const cut = Math.min(width, height);
  const size = Math.min(side, cut);
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  const paper = canvas.getContext("2d", { willReadFrequently: true });
  paper.drawImage(source, (width - cut) / 2, (height - cut) / 2, cut, cut, 0, 0, size, size);
  const { data } = paper.getImageData(0, 0, size, size);
  const bytes = new Uint8Array(size * size);
  for (let at = 0; at < bytes.length; at += 1) {
    bytes[at] = (data[4 * at] * 77 + data[4 * at + 1] * 150 + data[4 * at + 2] * 29) >> 8;
  }
  return { bytes, width: size };
}

async function ask(body, kind, width = 0) {
  const answer = await fetch(`${part("scan").dataset.scan}?width=${width}`, {
    method: "POST",
    body,
    headers: { "Content-Type": kind, Accept: "application/json" },
    signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
  });
  if (answer.status === 401 || answer.status === 403) location.reload(); // signed out meanwhile: the page says how on
  if (answer.status >= 429) throw new Error(String(answer.status));
  return answer.status === 200 || answer.status === 422 ? answer.json() : {};
}

function problem(text) {
  const shown = part("scan-problem");
  shown.textContent = text;
  shown.hidden = false;
  sound("bad");
}

// A photo, for browsers that lend no live picture: whole first, then its middle, where a small symbol is larger.
document.addEventListener("change", async (event) => {
  const field = event.target;
  if (!field.matches("[data-photo]") || !field.files[0]) return;
  why("");
  part("scan-problem").hidden = true;
  try {
    const picture = await createImageBitmap(field.files[0]).catch(() => null);
    if (!picture) {
      why("unreadable");
      return sound("bad");
    }
    const long = Math.max(picture.width, picture.height);
    for (const cut of [long, Math.min(picture.width, picture.height) / 2]) {
      const frame = document.createElement("canvas");
      frame.width = frame.height = cut;
      const paper = frame.getContext("2d");
      paper.fillStyle = "#fff";
      paper.fillRect(0, 0, cut, cut);
      paper.drawImage(picture, (cut - picture.width) / 2, (cut - picture.height) / 2);
      const grey = pixels(frame, cut, cut, PHOTO_SIDE_PX);
      const answer = await ask(grey.bytes, "application/octet-stream", grey.width);
      if (answer.url) return await stay(answer.url);
      if (answer.problem) return problem(answer.problem);
    }
    why("empty");
    sound("bad");
  } catch {
    trouble();
    recover();
  } finally {
    field.value = "";
  }
});

function settle() {
  showSound();
  const photo = part("photo-way");
  if (photo && !navigator.mediaDevices?.getUserMedia) photo.hidden = false;
  // A keyboard at the counter types at once; a phone keeps its screen for the camera. What was wrong is typed over.
  const code = document.getElementById("code");
  if (code && (code.value || matchMedia("(pointer: fine)").matches)) code.focus({ preventScroll: true });
  if (code?.value) code.select();
}
settle();
