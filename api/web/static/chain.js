// The learner's own wallet, if the browser has one (EIP-1193): it gives an address, signs a message, sends a call.
// Every page works without this file: addresses and signatures can be pasted, calls sent by hand.

const wallet = window.ethereum;
const hex = (number) => `0x${number.toString(16)}`;
const ask = (method, params) => wallet.request({ method, params });

function say(button, text) {
  const place = button.closest("[data-wallet]")?.querySelector("[data-said]");
  if (place) place.textContent = text;
}

async function accounts() {
  return ask("eth_requestAccounts", []);
}

async function giveAddress(button) {
  const [first] = await accounts();
  const field = document.getElementById(button.dataset.ask);
  field.value = first;
  field.form.requestSubmit();
}

async function sign(button) {
  await accounts();
  const bytes = new TextEncoder().encode(document.getElementById(button.dataset.sign).textContent);
  const message = `0x${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  const form = button.form;
  form.elements.signature.value = await ask("personal_sign", [message, button.dataset.address]);
  form.requestSubmit();
}

async function send(button) {
  const [from] = await accounts();
  await ask("wallet_switchEthereumChain", [{ chainId: hex(Number(button.dataset.chain)) }]);
  await ask("eth_sendTransaction", [{ from, to: button.dataset.to, data: `0x${button.dataset.send}` }]);
  say(button, button.dataset.sent);
}

// What can be typed or pasted instead is one tap away.
for (const place of wallet ? document.querySelectorAll("[data-by-hand]") : []) {
  place.open = place.querySelector("[aria-invalid]") !== null;
}

for (const [selector, act] of [["[data-ask]", giveAddress], ["[data-sign]", sign], ["[data-send]", send]]) {
  for (const button of wallet ? document.querySelectorAll(selector) : []) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      button.disabled = true;
      say(button, "");
      try {
        await act(button);
        if (act === send) return; // once is enough
      } catch {
        // Declined, closed, or a wallet of another kind: what it says is in its own window.
        say(button, button.dataset.refused);
      }
      button.disabled = false;
    });
  }
}
