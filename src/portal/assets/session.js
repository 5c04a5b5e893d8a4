// Says that the session is about to end, and lets it go on without losing the page (WCAG 2.2.1).
const place = document.querySelector('[data-session-left]');
const warnMs = 120_000;
let endsAt = Date.now() + Number(place.dataset.sessionLeft) * 1_000;
let said = '';

function say(text, button) {
  if (said === text) return;
  said = text;
  const line = document.createElement('p');
  line.textContent = text;
  place.replaceChildren(line, ...(button === null ? [] : [button]));
}

async function goOn() {
  // Any page of ours prolongs it; where it leads does not matter.
  const answer = await fetch('/', { redirect: 'manual', cache: 'no-store' }).catch(() => null);
  if (answer === null) return;
  endsAt = Date.now() + Number(place.dataset.sessionIdle) * 1_000;
  said = '';
  place.replaceChildren();
}

function stay() {
  if (place.dataset.sessionFinal !== undefined) return null;
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = place.dataset.stay;
  button.addEventListener('click', goOn);
  return button;
}

setInterval(() => {
  const leftMs = endsAt - Date.now();
  if (leftMs <= 0) say(place.dataset.over, null);
  else if (leftMs <= warnMs) say(place.dataset.soon, stay());
}, 1_000);
