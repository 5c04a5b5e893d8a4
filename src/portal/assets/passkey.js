// Asks the browser for a passkey and posts its answer with the page's own form; without it the pages offer other methods.
// Stands behind @simplewebauthn/browser in one file (assets.ts).
const { startRegistration, startAuthentication, browserSupportsWebAuthn } = SimpleWebAuthnBrowser;

for (const input of document.querySelectorAll('[data-needs-passkeys]')) {
  if (browserSupportsWebAuthn()) continue;
  input.disabled = true;
  input.closest('label').querySelector('.hint').textContent = input.dataset.needsPasskeys;
}

for (const form of document.querySelectorAll('form[data-passkey]')) {
  const said = form.querySelector('[data-passkey-said]');
  const button = form.querySelector('[data-passkey-start]');
  const { passkey, options, waiting, cancelled, exists, unsupported } = form.dataset;
  const ask = async () => {
    button.hidden = true;
    said.textContent = waiting;
    const optionsJSON = JSON.parse(options);
    try {
      const answer =
        passkey === 'create'
          ? await startRegistration({ optionsJSON })
          : await startAuthentication({ optionsJSON });
      form.elements.answer.value = JSON.stringify(answer);
      form.submit();
    } catch (error) {
      button.hidden = false;
      said.textContent = error.name === 'InvalidStateError' && exists !== undefined ? exists : cancelled;
    }
  };
  if (!browserSupportsWebAuthn()) said.textContent = unsupported;
  else if (passkey === 'get') void ask();
  else {
    // A new one has a name first; nothing is typed for one that is only shown.
    button.hidden = false;
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      void ask();
    });
  }
  button.addEventListener('click', ask);
}
