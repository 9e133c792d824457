// Security keys: asks the portal for a challenge, the browser's key for an answer, and sends the form with it.
// The portal says what is asked and judges what was answered; nothing is decided here.
const bytes = (text) =>
  Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (character) => character.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const keys = (list) => (list || []).map((key) => ({ ...key, id: bytes(key.id) }));

const create = async ({ publicKey: asked }) => {
  const made = await navigator.credentials.create({
    publicKey: {
      ...asked,
      challenge: bytes(asked.challenge),
      user: { ...asked.user, id: bytes(asked.user.id) },
      excludeCredentials: keys(asked.excludeCredentials),
    },
  });
  return answer(made, {
    attestationObject: text(made.response.attestationObject),
    transports: made.response.getTransports ? made.response.getTransports() : [],
  });
};

const get = async ({ publicKey: asked }) => {
  const used = await navigator.credentials.get({
    publicKey: { ...asked, challenge: bytes(asked.challenge), allowCredentials: keys(asked.allowCredentials) },
  });
  return answer(used, {
    authenticatorData: text(used.response.authenticatorData),
    signature: text(used.response.signature),
  });
};

const answer = (credential, response) => ({
  id: credential.id,
  rawId: text(credential.rawId),
  type: credential.type,
  clientExtensionResults: credential.getClientExtensionResults(),
  response: { clientDataJSON: text(credential.response.clientDataJSON), ...response },
});

const why = (error) => {
  if (error.name === "NotAllowedError") return "Nothing came from a security key. Try again.";
  if (error.name === "InvalidStateError") return "This key is one of yours already.";
  return error.message;
};

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-zhi-key]");
  if (!form) return;
  event.preventDefault();
  const said = form.querySelector(".zhi-said");
  const button = form.querySelector("button[type=submit]");
  said.hidden = true;
  button.disabled = true;
  try {
    if (!window.PublicKeyCredential) throw new Error("This browser offers no security keys at this address.");
    const token = form.querySelector("[name=csrfmiddlewaretoken]").value;
    const asked = await fetch(form.dataset.zhiChallenge, { method: "POST", headers: { "X-CSRFToken": token } });
    const options = await asked.json();
    if (!asked.ok) throw new Error(options.problem);
    const answered = await (form.dataset.zhiKey === "create" ? create : get)(options);
    form.querySelector("[name=credential]").value = JSON.stringify(answered);
    form.submit();
  } catch (error) {
    said.textContent = why(error);
    said.hidden = false;
    button.disabled = false;
  }
});
