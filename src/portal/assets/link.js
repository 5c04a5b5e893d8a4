// The token stands behind the # sign, which no server, log or referrer sees; posted, it is gone from the address and the history.
const form = document.getElementById('link-form');
const token = /^#([A-Za-z0-9_-]{43})$/.exec(location.hash)?.[1];
if (form !== null && token !== undefined) {
  history.replaceState(null, '', location.pathname);
  form.elements.namedItem('code').value = token;
  form.requestSubmit();
}
