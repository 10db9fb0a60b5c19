// Drives a confirmed airdrop: sends the page's own form again and again and shows what came back, until it is done.
// Without this file a person presses the button, or the server goes on by itself.

const AGAIN_AFTER_ERROR_MS = 3000;

async function drive(part) {
  const form = part.querySelector("form[data-drive]");
  if (!form) return;
  const button = form.querySelector("button");
  button.hidden = true;
  try {
    const body = new URLSearchParams(new FormData(form));
    const sent = await fetch(form.action, { method: "POST", body, redirect: "manual" });
    if (sent.status >= 400 && sent.status < 500) {
      // A refusal does not go away by asking again: the button leads a person to what the server says.
      button.hidden = false;
      return;
    }
    // A success leads back to the page; what is shown of it (only the refused rows, a later page) stays as it was.
    if (sent.type !== "opaqueredirect") throw new Error(String(sent.status));
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(part.id);
    if (!fresh) throw new Error("the answer is another page");
    part.replaceWith(document.adoptNode(fresh));
    drive(fresh);
  } catch {
    setTimeout(drive, AGAIN_AFTER_ERROR_MS, part);
  }
}

const part = document.getElementById("airdrop");
if (part) drive(part);
