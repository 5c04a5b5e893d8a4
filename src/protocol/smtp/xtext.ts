/**
 * Encodes bytes as xtext (RFC 3461 4): `+`, `=` and everything that is not printable ASCII becomes `+HH`.
 * null for CR, LF and NUL: no honest value has them, and a server that decodes too early would see a line end.
 */
export function encodeXtext(bytes: Buffer): string | null {
  if (bytes.includes(0x0d) || bytes.includes(0x0a) || bytes.includes(0x00)) return null;
  return bytes
    .toString('latin1')
    .replace(
      /[^\x21-\x7e]|[+=]/g,
      (char) => `+${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
    );
}

/** Whether it is xtext already. What it stands for does not matter: it is passed on encoded. */
export function isXtext(text: string): boolean {
  return /^(?:[\x21-\x2a\x2c-\x3c\x3e-\x7e]|\+[0-9A-F]{2})*$/.test(text);
}
