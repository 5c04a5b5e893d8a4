import type { IncomingHttpHeaders } from 'node:http';

/** S-62: whether the request names the public host and port; forwarded headers are never looked at. */
export function isPublicHost(headers: IncomingHttpHeaders, publicUrl: URL): boolean {
  const host = headers.host?.toLowerCase();
  return host === publicUrl.host || (publicUrl.port === '' && host === `${publicUrl.hostname}:443`);
}

/**
 * S-61: whether an unsafe request was made by a page of ours. The port counts: a page on another port of this host
 * sends our cookies along.
 */
export function isOwnOrigin(headers: IncomingHttpHeaders, publicUrl: URL): boolean {
  if (headers.origin !== undefined) return headers.origin === publicUrl.origin;
  return headers['sec-fetch-site'] === 'same-origin';
}

/** S-63: exactly what a browser sends for a form. A parameter, a tab or another case has fooled parsers before. */
export function isFormContent(headers: IncomingHttpHeaders): boolean {
  return headers['content-type'] === 'application/x-www-form-urlencoded';
}

/** The same for the API. No form and no script of another site can send it without asking first (CORS). */
export function isJsonContent(headers: IncomingHttpHeaders): boolean {
  return headers['content-type'] === 'application/json';
}

/** Whether the browser says that no page of ours asked, nor the person herself. */
export function isFromElsewhere(headers: IncomingHttpHeaders): boolean {
  const site = headers['sec-fetch-site'];
  return site !== undefined && site !== 'same-origin' && site !== 'none';
}

/** Fields of a form body, each at most once; null for a field given twice or one that would reach a prototype. */
export function parseForm(body: string): Readonly<Record<string, string>> | null {
  const fields: Record<string, string> = Object.create(null);
  for (const [name, value] of new URLSearchParams(body)) {
    if (name === '__proto__' || name in fields) return null;
    fields[name] = value;
  }
  return fields;
}
