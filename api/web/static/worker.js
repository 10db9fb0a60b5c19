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
// What was kept so short a while ago is no news of yesterday: on a network that always takes longer than our patience,
// a page that asks for itself again and finds this copy is content with it.
const FRESH_MS = 20000;
const KEPT_AT = "KGO-Kept-At";
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

// A page that was kept before an update names the files of that time; without a network those of now stand in.
async function file(request) {
  const found = await caches.match(request, { cacheName: FILES });
  if (found) return found;
  try {
    return await fetch(request);
  } catch (away) {
    const other = await caches.match(request, { cacheName: FILES, ignoreSearch: true });
    if (other) return other;
    throw away;
  }
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
    const answer = await (kept ? Promise.race([asked, tooLate(kept)]) : asked);
    if (CODE.test(url.pathname)) event.waitUntil(forget(url));
    else if (reads) event.waitUntil(remember(url, answer.clone()));
    return answer;
  } catch (why) {
    if (kept) {
      event.waitUntil(asked.then((answer) => remember(url, answer), () => undefined));
      return shown(kept, why === kept && isFresh(kept));
    }
    if (CODE.test(url.pathname)) await note(url);
    return standIn(request, url, reads);
  }
}

// Refuses with what is kept, which a network that is away never does.
function tooLate(kept) {
  return new Promise((_, refuse) => setTimeout(refuse, PATIENCE_MS, kept));
}

async function remember(url, answer) {
  if (!KEEPABLE.test(url.pathname) || url.searchParams.has("cursor")) return;
  const pages = await caches.open(PAGES);
  if (answer.ok && answer.headers.get("KGO-Offline") === "keep") {
    const headers = new Headers(answer.headers);
    headers.delete("Content-Encoding");
    headers.delete("Content-Length");
    headers.set(KEPT_AT, String(Date.now()));
    await pages.put(url.pathname, new Response((await answer.text()).replace(PRIVATE, ""), { headers }));
  } else if (answer.status < 500 && answer.type !== "opaqueredirect") {
    // The server no longer shows it to this device: neither do we. Without the wallet its codes go as well.
    if (url.pathname.endsWith("/wallet")) await caches.delete(PAGES);
    else await pages.delete(url.pathname);
  }
}

async function recall(url) {
  const found = await caches.match(url.pathname, { cacheName: PAGES });
  return url.searchParams.has("cursor") ? undefined : found;
}

function isFresh(kept) {
  return Math.abs(Date.now() - Number(kept.headers.get(KEPT_AT))) < FRESH_MS;
}

async function shown(kept, fresh) {
  const text = (await kept.text()).replace("data-now=", "data-was=");
  return new Response(fresh ? text : text.replace('id="as-of" hidden', 'id="as-of"'), { headers: kept.headers });
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
