// Checks a receipt of the public log by itself: docs/format.md sections 3, 8 and 10. It asks nobody and changes nothing.
// The text is that of the receipt, or the compact form of it that a QR code holds.
//
//   verify(text, { vkey, witnesses, shown, own }) → { checks, facts }
//     vkey       the verifier key of the log, as the caller pins it
//     witnesses  [{ name, vkey }], whose cosignatures count
//     shown      the entry as the reader was shown it; the receipt must be of the same bytes
//     own        [{ account, line, side, nonce }], what opens the reader's handles in the entry
//   checks: for each of form, entry, path, signature, witnesses, own: { state: "ok" | "failed" | "skipped", why }
//   facts:  what was read: index, leaf, entry, leafHash, root, size, origin, keyId, cosigned
//
// SHA-256 and Ed25519 are the browser's own (WebCrypto). Over plain http a browser gives a page neither: then SHA-256 is
// done here, and the signature is left out and said to be. Bytes are Uint8Array; sizes and places are BigInt.

const RECEIPT =
  /^c2sp\.org\/tlog-proof@v1\n(?:extra ([A-Za-z0-9+/=]*)\n)?index (0|[1-9][0-9]{0,18})\n((?:[A-Za-z0-9+/]{43}=\n){0,63})\n([^]+)$/;
const MAX_RECEIPT_CHARS = 1 << 20;
const MAX_SIGNATURES = 100;
const MAX_SIZE = (1n << 63n) - 1n;
const ED25519 = 0x01;
const COSIGNATURE = 0x04;
const TIME_BYTES = 8;
const CONTROL = /[\x00-\x09\x0b-\x1f]/;
const LEAF_MEMBERS = "actor at city evidence id key kind postings ref rule seq v";
const POSTING_MEMBERS = "amount from to";

const utf8 = new TextEncoder();
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** What does not hold; its message is a word for the page to put into a sentence. */
export class Fault extends Error {}

function need(holds, why) {
  if (!holds) throw new Fault(why);
}

// ---- bytes

export function fromBase64(text) {
  let plain;
  try {
    plain = atob(text);
  } catch {
    throw new Fault("base64");
  }
  need(btoa(plain) === text, "base64"); // one spelling only: padded, and zero trailing bits
  return Uint8Array.from(plain, (one) => one.charCodeAt(0));
}

export function hex(bytes) {
  return [...bytes].map((one) => one.toString(16).padStart(2, "0")).join("");
}

function join(...parts) {
  const all = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function same(one, other) {
  return one.length === other.length && one.every((byte, place) => byte === other[place]);
}

// ---- SHA-256 (FIPS 180-4), for pages that the browser gives no WebCrypto

function primes(count) {
  const found = [];
  for (let number = 2; found.length < count; number += 1) {
    if (found.every((prime) => number % prime)) found.push(number);
  }
  return found;
}

// The first 32 bits of the fractional part; double precision has them right for these roots (the tests compare).
const fraction = (root) => Math.floor((root - Math.floor(root)) * 2 ** 32);
const START = primes(8).map((prime) => fraction(Math.sqrt(prime)));
const ROUND = primes(64).map((prime) => fraction(Math.cbrt(prime)));
const turn = (word, by) => (word >>> by) | (word << (32 - by));

export function sha256InScript(data) {
  const padded = new Uint8Array((((data.length + 8) >> 6) + 1) << 6);
  padded.set(data);
  padded[data.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setBigUint64(padded.length - 8, BigInt(data.length) * 8n);
  const state = Uint32Array.from(START);
  const words = new Int32Array(64);
  for (let block = 0; block < padded.length; block += 64) {
    for (let at = 0; at < 64; at += 1) {
      if (at < 16) {
        words[at] = view.getInt32(block + at * 4);
        continue;
      }
      const [late, early] = [words[at - 2], words[at - 15]];
      const far = turn(late, 17) ^ turn(late, 19) ^ (late >>> 10);
      const near = turn(early, 7) ^ turn(early, 18) ^ (early >>> 3);
      words[at] = words[at - 16] + near + words[at - 7] + far;
    }
    let [a, b, c, d, e, f, g, h] = state;
    for (let at = 0; at < 64; at += 1) {
      const up = (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g));
      const first = (h + up + ROUND[at] + words[at]) | 0;
      const second = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + first) | 0, c, b, a, (first + second) | 0];
    }
    [a, b, c, d, e, f, g, h].forEach((word, at) => (state[at] += word));
  }
  const digest = new DataView(new ArrayBuffer(32));
  state.forEach((word, at) => digest.setUint32(at * 4, word));
  return new Uint8Array(digest.buffer);
}

export async function sha256(...parts) {
  const data = join(...parts);
  return crypto.subtle ? new Uint8Array(await crypto.subtle.digest("SHA-256", data)) : sha256InScript(data);
}

// ---- notes, keys, signatures

function checkName(name) {
  need(name && !/[+\p{C}\p{Z}]/u.test(name), "name");
}

export async function parseKey(vkey, type = ED25519) {
  const [, name, id, encoded] = /^([^+]+)\+([0-9a-f]{8})\+(.+)$/s.exec(vkey) ?? [];
  need(name, "vkey");
  checkName(name);
  const key = fromBase64(encoded);
  need(key.length === 33 && key[0] === type, "vkey");
  const digest = await sha256(utf8.encode(`${name}\n`), key);
  need(hex(digest.slice(0, 4)) === id, "vkey");
  return { name, id, raw: key.slice(1) };
}

function parseNote(note) {
  const end = note.lastIndexOf("\n\n");
  need(end >= 0 && !CONTROL.test(note), "note");
  const lines = note.slice(end + 2).split("\n");
  need(lines.pop() === "" && lines.length > 0 && lines.length <= MAX_SIGNATURES, "note");
  const signatures = lines.map((line) => {
    const [, name, encoded] = /^\u2014 ([^ ]+) ([^]+)$/.exec(line) ?? [];
    need(name, "note");
    checkName(name);
    const bytes = fromBase64(encoded);
    need(bytes.length >= 5, "note");
    return { name, id: hex(bytes.slice(0, 4)), bytes: bytes.slice(4) };
  });
  const body = note.slice(0, end + 1);
  const [origin, size, encoded, rest, ...more] = body.split("\n");
  need(rest === "" && more.length === 0 && /^(0|[1-9][0-9]{0,18})$/.test(size), "checkpoint");
  checkName(origin);
  const root = fromBase64(encoded);
  need(root.length === 32 && BigInt(size) <= MAX_SIZE, "checkpoint");
  return { body, signatures, origin, size: BigInt(size), root };
}

const from = (note, key) => note.signatures.filter(({ name, id }) => name === key.name && id === key.id);

async function signed(key, signature, text) {
  const imported = await crypto.subtle.importKey("raw", key.raw, { name: "Ed25519" }, false, ["verify"]);
  return crypto.subtle.verify({ name: "Ed25519" }, imported, signature, utf8.encode(text));
}

/** Why this browser cannot check signatures on this page: "insecure", "no_ed25519", or "" if it can. */
export async function unable() {
  if (!crypto.subtle) return "insecure";
  const anyKey = new Uint8Array(32).fill(0x66).fill(0x58, 0, 1); // the base point: y = 4/5, little-endian
  try {
    await crypto.subtle.importKey("raw", anyKey, { name: "Ed25519" }, false, ["verify"]);
    return "";
  } catch {
    return "no_ed25519";
  }
}

async function cosigners(note, witnesses) {
  const found = [];
  for (const { name, vkey } of witnesses) {
    const key = await parseKey(vkey, COSIGNATURE);
    for (const { bytes } of from(note, key)) {
      need(bytes.length === TIME_BYTES + 64, "cosignature");
      const seconds = new DataView(bytes.buffer, bytes.byteOffset, TIME_BYTES).getBigUint64(0);
      const text = `cosignature/v1\ntime ${seconds}\n${note.body}`;
      need(await signed(key, bytes.slice(TIME_BYTES), text), "cosignature");
      found.push({ name, at: new Date(Number(seconds) * 1000) });
    }
  }
  return found;
}

// ---- the tree (RFC 9162 section 2.1.3.2)

export async function climb(leafHash, index, size, path) {
  need(index < size, "index");
  let [position, last, root] = [index, size - 1n, leafHash];
  for (const step of path) {
    need(last > 0n, "long");
    if (position & 1n || position === last) {
      root = await sha256([1], step, root);
      while (position && !(position & 1n)) [position, last] = [position >> 1n, last >> 1n];
    } else {
      root = await sha256([1], root, step);
    }
    [position, last] = [position >> 1n, last >> 1n];
  }
  need(last === 0n, "short");
  return root;
}

// ---- the entry

function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value === "number") need(Number.isSafeInteger(value) && !Object.is(value, -0), "canonical");
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  return `{${Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join(",")}}`;
}

const members = (thing) => Object.keys(thing ?? {}).sort().join(" ");

function readEntry(leaf, index) {
  let text;
  let entry;
  try {
    text = strict.decode(leaf);
    entry = JSON.parse(text);
  } catch {
    throw new Fault("canonical");
  }
  need(canonical(entry) === text, "canonical");
  need(members(entry) === LEAF_MEMBERS && entry.v === 1 && Array.isArray(entry.postings), "shape");
  need(entry.postings.every((one) => members(one) === POSTING_MEMBERS && one.amount > 0), "shape");
  need(BigInt(entry.seq) === index, "seq");
  return entry;
}

const BASE32 = "abcdefghijklmnopqrstuvwxyz234567";

export async function handle(account, nonce) {
  const digest = await sha256([2], utf8.encode(account), nonce);
  const bits = [...digest].map((byte) => byte.toString(2).padStart(8, "0")).join("").padEnd(260, "0");
  return `learner:~${bits.match(/.{5}/g).map((five) => BASE32[parseInt(five, 2)]).join("")}`;
}

async function opens(entry, own) {
  for (const { account, line, side, nonce } of own) {
    need(entry.postings[line]?.[side] === (await handle(account, fromBase64(nonce))), "handle");
  }
}

// ---- a receipt

const COMPACT = "KGO-RECEIPT:";
const CHECKSUM_BYTES = 4;
const EXTRA = "extra ";
const LINE_END = 10;
const MAX_LEAF_BYTES = 0xffff;
const BASE45 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";

function fromBase45(text) {
  const bytes = [];
  for (let at = 0; at < text.length; at += 3) {
    const digits = [...text.slice(at, at + 3)].map((one) => BASE45.indexOf(one));
    const number = digits.reduceRight((sum, digit) => sum * 45 + digit, 0);
    need(digits.length > 1 && !digits.includes(-1) && number < (digits.length === 3 ? 1 << 16 : 1 << 8), "form");
    if (digits.length === 3) bytes.push(number >> 8);
    bytes.push(number & 255);
  }
  return Uint8Array.from(bytes);
}

async function inflate(bytes) {
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw")).getReader();
  const parts = [];
  let length = 0;
  try {
    for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
      length += value.length;
      if (length > MAX_RECEIPT_CHARS) throw new RangeError("too long");
      parts.push(value);
    }
  } catch {
    throw new Fault("form");
  }
  return join(...parts);
}

async function unpack(text) {
  if (!text.startsWith(COMPACT)) return text;
  need(text.length <= MAX_RECEIPT_CHARS, "form");
  const data = fromBase45(text.trim().slice(COMPACT.length));
  const deflated = data.slice(CHECKSUM_BYTES);
  need(same((await sha256(deflated)).slice(0, CHECKSUM_BYTES), data.slice(0, CHECKSUM_BYTES)), "form");
  const clear = await inflate(deflated);
  const [start, end] = [clear.indexOf(LINE_END) + 1, clear.indexOf(LINE_END, clear.indexOf(LINE_END) + 1)];
  const leaf = clear.slice(start + EXTRA.length, end);
  need(start > 0 && end > 0 && leaf.length <= MAX_LEAF_BYTES, "form");
  try {
    const [before, after] = [strict.decode(clear.slice(0, start + EXTRA.length)), strict.decode(clear.slice(end))];
    return before + btoa(String.fromCharCode(...leaf)) + after;
  } catch {
    throw new Fault("form");
  }
}

function parse(text) {
  const [, extra, index, hashes, note] = (text.length <= MAX_RECEIPT_CHARS && RECEIPT.exec(text)) || [];
  need(note, "form");
  need(extra !== undefined, "no_entry");
  const path = hashes.split("\n").filter(Boolean).map(fromBase64);
  return { leaf: fromBase64(extra), index: BigInt(index), path, note: parseNote(note) };
}

async function attempt(work) {
  try {
    await work();
    return { state: "ok", why: "" };
  } catch (fault) {
    if (fault instanceof Fault) return { state: "failed", why: fault.message };
    throw fault;
  }
}

const skipped = (why) => ({ state: "skipped", why });

export async function verify(text, { vkey, witnesses = [], shown = null, own = [] }) {
  const facts = {};
  let read;
  const checks = {};
  checks.form = await attempt(async () => {
    read = parse(await unpack(text));
  });
  if (!read) {
    for (const name of ["entry", "path", "signature", "witnesses", "own"]) checks[name] = skipped("form");
    return { checks, facts };
  }
  const { leaf, index, path, note } = read;
  Object.assign(facts, { index, leaf, root: hex(note.root), size: note.size, origin: note.origin });
  const leafHash = await sha256([0], leaf);
  facts.leafHash = hex(leafHash);
  checks.entry = await attempt(async () => {
    facts.entry = readEntry(leaf, index);
    need(shown === null || same(leaf, utf8.encode(shown)), "shown");
  });
  checks.path = await attempt(async () => {
    need(same(await climb(leafHash, index, note.size, path), note.root), "root");
  });
  const cannot = await unable();
  checks.signature = await attempt(async () => {
    const key = await parseKey(vkey.trim());
    facts.keyId = key.id;
    const ours = from(note, key);
    need(note.origin === key.name && ours.length === 1, "other_key");
    need(cannot || (await signed(key, ours[0].bytes, note.body)), "signature");
  });
  if (cannot && checks.signature.state === "ok") checks.signature = skipped(cannot);
  checks.witnesses = cannot ? skipped(cannot) : await attempt(async () => {
    facts.cosigned = await cosigners(note, witnesses);
  });
  if (checks.witnesses.state === "ok" && facts.cosigned.length === 0) checks.witnesses = skipped("nobody");
  checks.own = own.length && facts.entry ? await attempt(() => opens(facts.entry, own)) : skipped("nobody");
  return { checks, facts };
}
