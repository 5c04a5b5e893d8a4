const pad = 0x3d;
const invalid = 0xff;

const values = new Uint8Array(256).fill(invalid);
for (const [value, character] of [
  ...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/',
].entries()) {
  values[character.charCodeAt(0)] = value;
}

/**
 * Decodes padded base64, or gives null: a foreign character, a missing or early pad, unused bits that are not
 * zero (RFC 4648 3.2, 3.3, 3.5). `Buffer.from` would take anything and guess. Takes and gives bytes,
 * so that no string copy of a password remains; what a refused input left behind is zeroed.
 */
export function decodeBase64(text: Buffer): Buffer | null {
  if (text.length % 4 !== 0) return null;
  const pads = text.at(-1) !== pad ? 0 : text.at(-2) !== pad ? 1 : 2;
  const digits = text.length - pads;
  const decoded = Buffer.alloc(Math.floor((digits * 3) / 4));
  let bits = 0;
  let bitCount = 0;
  let length = 0;
  for (let index = 0; index < digits; index++) {
    const value = values[text[index] ?? 0] ?? invalid;
    if (value === invalid) {
      decoded.fill(0);
      return null;
    }
    bits = ((bits << 6) | value) & 0xfff;
    bitCount += 6;
    if (bitCount < 8) continue;
    bitCount -= 8;
    decoded[length++] = bits >> bitCount;
  }
  if ((bits & ((1 << bitCount) - 1)) !== 0) {
    decoded.fill(0);
    return null;
  }
  return decoded;
}

/** Padded base64 in one line (RFC 4648 4). */
export function encodeBase64(bytes: Buffer): string {
  return bytes.toString('base64');
}
