// Scans that could not be sent, and pages kept on the device: a list with one tap each. Reads the caches of
// worker.js; nothing is sent before the tap.

const scansPart = document.getElementById("scans");
const savedPart = document.getElementById("saved");

function row(address, text, small) {
  const item = document.createElement("li");
  const link = document.createElement("a");
  link.className = "line";
  link.href = address;
  const words = document.createElement("span");
  words.textContent = text;
  if (small) {
    const line = document.createElement("small");
    line.textContent = small;
    words.append(line);
  }
  link.append(words);
  item.append(link);
  return item;
}

function moment(ms) {
  const language = document.documentElement.lang === "th" ? "th-TH-u-ca-buddhist" : "en-GB";
  return new Date(ms).toLocaleString(language, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
}

async function showScans() {
  const scans = await caches.open("kgo-scans-1");
  const list = scansPart.querySelector("ul");
  list.replaceChildren();
  for (const request of await scans.keys()) {
    if (savedPart && request.url === location.href) continue; // the page itself is about this one
    const at = Number(await (await scans.match(request)).text());
    list.append(row(new URL(request.url).pathname, scansPart.dataset.label, moment(at)));
  }
  scansPart.hidden = !list.childElementCount;
}

async function showSaved() {
  const pages = await caches.open("kgo-pages-1");
  const list = savedPart.querySelector("ul");
  for (const request of await pages.keys()) {
    const path = new URL(request.url).pathname;
    list.append(row(path, path.endsWith("/wallet") ? savedPart.dataset.wallet : savedPart.dataset.code));
  }
  savedPart.hidden = !list.childElementCount;
}

// A browser that is told to store nothing has no caches, or refuses to open them: then there is nothing to list.
if ("caches" in window) {
  if (scansPart) {
    showScans().catch(() => {});
    scansPart.querySelector("[data-forget]")?.addEventListener("click", async () => {
      await caches.delete("kgo-scans-1");
      showScans();
    });
  }
  if (savedPart) showSaved().catch(() => {});
}
