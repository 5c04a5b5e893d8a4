import { argon2Maxima } from '../config/primitives.ts';

/** What an argon2id PHC string holds. */
export interface Argon2idHash {
  readonly memoryKib: number;
  readonly passes: number;
  readonly lanes: number;
  readonly salt: Buffer;
  readonly tag: Buffer;
}

/** 22 to 43 characters are 16 to 32 bytes, 43 are 32. */
const shape =
  /^\$argon2id\$v=19\$([mtp]=[1-9]\d{0,9}(?:,[mtp]=[1-9]\d{0,9}){2})\$([A-Za-z0-9+/]{22,43})\$([A-Za-z0-9+/]{43})$/;

/** In the order `m,t,p`, which is the one that every other tool reads. */
export function formatPhc({ memoryKib, passes, lanes, salt, tag }: Argon2idHash): string {
  return `$argon2id$v=19$m=${memoryKib},t=${passes},p=${lanes}$${unpadded(salt)}$${unpadded(tag)}`;
}

/** null: not argon2id version 19 with salt 16 to 32 and tag 32 bytes, or over the caps (S-21). */
export function parsePhc(phc: string): Argon2idHash | null {
  const [, parameters, saltText, tagText] = shape.exec(phc) ?? [];
  if (parameters === undefined || saltText === undefined || tagText === undefined) return null;
  const values = new Map(parameters.split(',').map((each) => [each[0], Number(each.slice(2))]));
  const memoryKib = values.get('m');
  const passes = values.get('t');
  const lanes = values.get('p');
  const salt = Buffer.from(saltText, 'base64');
  const tag = Buffer.from(tagText, 'base64');
  if (memoryKib === undefined || passes === undefined || lanes === undefined) return null;
  const isOver =
    memoryKib > argon2Maxima.memoryKib || passes > argon2Maxima.passes || lanes > argon2Maxima.lanes;
  if (isOver || memoryKib < 8 * lanes) return null;
  if (unpadded(salt) !== saltText || unpadded(tag) !== tagText) return null;
  return { memoryKib, passes, lanes, salt, tag };
}

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '');
}
