// The part of a page that checks a receipt: brings the text to proof.js and shows what came of it. All words stand in
// the page. With data-fetch the receipt is loaded and compared with the entry on the page; without, the reader puts it
// in (typed, as a file, or dropped), and nothing is asked of any server.

const part = document.getElementById("check");
const one = (selector, within = part) => within.querySelector(selector);
const all = (selector, within = part) => [...within.querySelectorAll(selector)];
const SECTIONS = { base64: "text", form: "text", note: "text", name: "text", checkpoint: "text" };
const PLACES = { canonical: "entry", shape: "entry", seq: "entry", index: "root", long: "root", short: "root" };
const SAME_WHYS = { ...SECTIONS, ...PLACES };
const ANSWER_WITHIN_MS = 15000;
const MAX_FILE_BYTES = 1 << 21;

function fill(text, facts) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => String(facts[name] ?? whole));
}

function verdict(name, facts = {}) {
  for (const said of all("[data-verdict]")) {
    said.hidden = said.dataset.verdict !== name;
    if (said.hidden) continue;
    for (const node of said.childNodes) {
      if (node.nodeType === Node.TEXT_NODE) {
        node.said ??= node.textContent;
        node.textContent = fill(node.said, facts);
      }
    }
  }
  part.dataset.outcome = name;
}

// Which key a log had is remembered, so that another one is noticed.
function rememberKey(facts, vkey) {
  const memory = one("[data-key-memory]");
  if (!memory || !facts.origin) return;
  const name = `kgo-vkey-${facts.origin}`;
  const day = (ms) => new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "long" }).format(new Date(ms));
  try {
    const known = JSON.parse(localStorage.getItem(name) ?? "null");
    if (!known) localStorage.setItem(name, JSON.stringify({ vkey, at: Date.now() }));
    const said = !known ? "first" : known.vkey === vkey ? "same" : "changed";
    memory.textContent = fill(memory.dataset[said], { at: known ? day(known.at) : "" });
    memory.classList.toggle("alarm", said === "changed");
    memory.hidden = false;
  } catch {
    memory.hidden = true; // a browser that stores nothing remembers no key
  }
}

function show(checks) {
  const words = one(".checks").dataset;
  for (const item of all("[data-check]")) {
    const { state, why } = checks[item.dataset.check] ?? { state: "waiting", why: "" };
    item.dataset.state = state;
    one("[data-state-word]", item).textContent = words[state];
    const said = state !== "ok" && why ? one(`[data-why-of="${SAME_WHYS[state === "failed" ? why : ""] ?? why}"]`) : null;
    one("[data-why]", item).textContent = said?.textContent ?? "";
    one("[data-why]", item).hidden = !said;
  }
}

async function check(text, vkey, shown) {
  const { verify } = await import(part.dataset.program);
  const witnesses = JSON.parse(part.dataset.witnesses);
  const own = JSON.parse(part.dataset.own);
  const { checks, facts } = await verify(text, { vkey, witnesses, shown, own });
  show(checks);
  const states = Object.values(checks).map(({ state }) => state);
  const failed = states.includes("failed");
  const name = failed ? "failed" : checks.signature.state === "skipped" ? "partly" : "ok";
  if (checks.signature.state === "ok") rememberKey(facts, vkey);
  verdict(name, facts);
  return { checks, facts };
}

async function load() {
  verdict("working");
  let text;
  try {
    const answer = await fetch(part.dataset.fetch, { cache: "no-store", signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
    if (!answer.ok) throw new Error(String(answer.status));
    text = await answer.text();
  } catch {
    verdict("unreachable");
    return;
  }
  document.getElementById("receipt").textContent = text; // what is copied is what was checked
  await check(text, document.getElementById("vkey").textContent, document.getElementById("leaf").textContent);
}

// What people paste has lost its last line's end, or has those of another system.
function tidied(text) {
  const plain = text.replace(/\r\n?/g, "\n").replace(/^\s+/, "").replace(/\s+$/, "");
  return plain && `${plain}\n`;
}

async function checkGiven() {
  const text = tidied(document.getElementById("f-receipt").value);
  one("[data-result]").hidden = !text;
  if (!text) {
    verdict("empty");
    return;
  }
  const { facts } = await check(text, document.getElementById("f-vkey").value.trim(), null);
  const summary = one("[data-fill=summary]");
  summary.textContent = facts.origin ? fill(summary.dataset.text, facts) : "";
  const pretty = one("[data-fill=pretty]");
  one("[data-entry]").hidden = !facts.entry;
  pretty.textContent = facts.entry ? JSON.stringify(facts.entry, null, 2) : "";
  document.getElementById("result").focus({ preventScroll: true });
  document.getElementById("result").scrollIntoView({ block: "nearest" });
}

async function take(file) {
  if (!file) return;
  document.getElementById("f-receipt").value = (await file.slice(0, MAX_FILE_BYTES).text()).replace(/^\ufeff/, "");
  await checkGiven();
}

function receive() {
  const place = document.getElementById("drop");
  one("[data-check-now]").addEventListener("click", checkGiven);
  document.getElementById("f-file").addEventListener("change", (event) => take(event.target.files[0]));
  for (const name of ["dragenter", "dragover"]) {
    place.addEventListener(name, (event) => {
      event.preventDefault();
      place.classList.add("over");
    });
  }
  for (const name of ["dragleave", "drop"]) place.addEventListener(name, () => place.classList.remove("over"));
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    const text = event.dataTransfer.getData("text/plain");
    if (text) {
      document.getElementById("f-receipt").value = text;
      checkGiven();
    }
    take(event.dataTransfer.files[0]);
  });
}

if (part.dataset.fetch) {
  one("[data-again]").addEventListener("click", load);
  load();
} else {
  receive();
}
