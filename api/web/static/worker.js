// The service worker: keeps what the reader may need without a network, and says plainly when there is none.
//
// Kept on the device: the wallet and reserved codes (pages that the server marks with KGO-Offline), the files that
// pages are made of, and the addresses of scans that could not be sent. A kept page is shown with the time at which
// it was true. Nothing is ever sent from here by itself: a scan waits for a tap, and a form that got no answer is
// not repeated. What stands between <!--private--> marks, such as a recovery code, is not kept.

const PAGES = "kgo-pages-1";
const FILES = "kgo-files-1";
const SCANS = "kgo-scans-1";
const CACHES = [PAGES, FILES, SCANS];
const KEEPABLE = /^\/c\/[^/]+\/(wallet|redemptions\/[^/]+)$/;
const CODE = /^\/q\/[^/]+$/;
const OFFLINE = "/offline";
// A network that hangs is worse than none: after this long a kept page is shown, if there is one.
const PATIENCE_MS = 5000;
const PRIVATE = /<!--private-->[\s\S]*?<!--\/private-->/g;

addEventListener("install", () => skipWaiting());

addEventListener("activate", (event) => {
  event.waitUntil(tidy());
});

async function tidy() {
  for (const name of await caches.keys()) if (name.startsWith("kgo-") && !CACHES.includes(name)) await caches.delete(name);
  await clients.claim();
}

// A page says what it is made of, and which pages its reader would miss.
addEventListener("message", (event) => {
  event.waitUntil(keep(event.data));
});

async function keep({ files = [], pages = [] }) {
  const known = await caches.open(FILES);
  for (const file of files) if (!(await known.match(file))) await fetchInto(known, file);
  await fetchInto(known, OFFLINE);
  for (const page of pages) await remember(new URL(page, location.origin), await fetch(page, { redirect: "manual" }));
}

async function fetchInto(cache, address) {
  try {
    const answer = await fetch(address);
    if (!answer.ok) return;
    // An earlier version of the same file goes.
    await cache.delete(address, { ignoreSearch: true });
    await cache.put(address, answer);
  } catch {
    // Without a network there is nothing to keep; the next page asks again.
  }
}

addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (url.origin !== location.origin) return;
  if (request.mode === "navigate") event.respondWith(navigate(event, url));
  else if (request.method === "GET" && url.pathname.startsWith("/assets/")) event.respondWith(file(request));
  else if (request.method === "GET" && KEEPABLE.test(url.pathname)) event.respondWith(look(event, url));
});

async function file(request) {
  const found = await caches.match(request, { cacheName: FILES });
  return found ?? fetch(request);
}

// A page that asks for itself again: what comes is kept, and an error stays an error.
async function look(event, url) {
  const answer = await fetch(event.request);
  event.waitUntil(remember(url, answer.clone()));
  return answer;
}

async function navigate(event, url) {
  const { request } = event;
  const reads = request.method === "GET";
  const kept = reads && KEEPABLE.test(url.pathname) ? await recall(url) : undefined;
  const asked = fetch(request);
  try {
    const answer = await (kept ? Promise.race([asked, tooLate()]) : asked);
    if (CODE.test(url.pathname)) event.waitUntil(forget(url));
    else if (reads) event.waitUntil(remember(url, answer.clone()));
    return answer;
  } catch {
    if (kept) {
      event.waitUntil(asked.then((answer) => remember(url, answer), () => undefined));
      return kept;
    }
    if (CODE.test(url.pathname)) await note(url);
    return standIn(request, url, reads);
  }
}

function tooLate() {
  return new Promise((_, refuse) => setTimeout(refuse, PATIENCE_MS, new Error("too late")));
}

async function remember(url, answer) {
  if (!KEEPABLE.test(url.pathname) || url.searchParams.has("cursor")) return;
  const pages = await caches.open(PAGES);
  if (answer.ok && answer.headers.get("KGO-Offline") === "keep") {
    const headers = new Headers(answer.headers);
    headers.delete("Content-Encoding");
    headers.delete("Content-Length");
    await pages.put(url.pathname, new Response((await answer.text()).replace(PRIVATE, ""), { headers }));
  } else if (answer.status < 500 && answer.type !== "opaqueredirect") {
    // The server no longer shows it to this device: neither do we. Without the wallet its codes go as well.
    if (url.pathname.endsWith("/wallet")) await caches.delete(PAGES);
    else await pages.delete(url.pathname);
  }
}

async function recall(url) {
  const found = await caches.match(url.pathname, { cacheName: PAGES });
  if (!found || url.searchParams.has("cursor")) return undefined;
  const shown = (await found.text()).replace("data-now=", "data-was=").replace('id="as-of" hidden', 'id="as-of"');
  return new Response(shown, { headers: found.headers });
}

async function note(url) {
  const scans = await caches.open(SCANS);
  await scans.put(url.pathname, new Response(String(Date.now())));
}

async function forget(url) {
  const scans = await caches.open(SCANS);
  await scans.delete(url.pathname);
}

// What is shown instead of a page. For a form the way back is the page that it stood on.
async function standIn(request, url, reads) {
  const page = await caches.match(OFFLINE, { cacheName: FILES });
  if (!page) return Response.error();
  const scans = CODE.test(url.pathname);
  const kind = reads ? (scans ? "scan" : "read") : scans ? "resend" : "send";
  const target = kind === "send" ? request.referrer || "/" : url.href;
  const shown = (await page.text())
    .replace("data-now=", "data-then=")
    .replace('data-kind="read"', `data-kind="${kind}"`)
    .replaceAll("#again", target.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`));
  return new Response(shown, { status: 503, headers: page.headers });
}
