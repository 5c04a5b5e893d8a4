/** One end of a TCP connection. */
export interface Endpoint {
  /** As Node writes addresses. */
  readonly address: string;
  readonly port: number;
}

/** The 4 or 16 bytes of an address in text, null for anything else. An IPv4-mapped IPv6 address keeps its 16. */
export function addressBytes(text: string): Buffer | null {
  return text.includes(':') ? ipv6Bytes(text) : ipv4Bytes(text);
}

/** RFC 5952, as Node writes it; an IPv4-mapped address as the IPv4 address it is. */
export function addressText(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.');
  if (bytes.subarray(0, 12).equals(mappedPrefix)) return bytes.subarray(12).join('.');
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2));
  const zeros = longestZeros(groups);
  const text = (from: number, to: number) =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(':');
  return zeros === null ? text(0, 8) : `${text(0, zeros.from)}::${text(zeros.to, 8)}`;
}

export const mappedPrefix = Buffer.from('00000000000000000000ffff', 'hex');

function ipv4Bytes(text: string): Buffer | null {
  const parts = text.split('.');
  // No leading zeros: programs disagree on whether they mean octal.
  if (parts.length !== 4 || !parts.every((part) => /^(?:0|[1-9]\d{0,2})$/.test(part))) return null;
  const bytes = parts.map(Number);
  return bytes.every((byte) => byte <= 255) ? Buffer.from(bytes) : null;
}

function ipv6Bytes(text: string): Buffer | null {
  const [before = '', after, ...more] = text.split('::');
  if (more.length > 0) return null;
  const head = groupBytes(before, after === undefined);
  if (head === null || after === undefined) return head?.length === 16 ? head : null;
  const tail = groupBytes(after, true);
  // `::` stands for at least one group.
  if (tail === null || head.length + tail.length > 14) return null;
  return Buffer.concat([head, Buffer.alloc(16 - head.length - tail.length), tail]);
}

/** Groups of 16 bits, the last two of an address also as IPv4; null where one is neither. */
function groupBytes(text: string, isEnd: boolean): Buffer | null {
  if (text === '') return Buffer.alloc(0);
  const groups = text.split(':');
  const bytes: number[] = [];
  for (const [index, group] of groups.entries()) {
    if (/^[0-9a-f]{1,4}$/i.test(group)) {
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
      continue;
    }
    const ipv4 = isEnd && index === groups.length - 1 ? ipv4Bytes(group) : null;
    if (ipv4 === null) return null;
    bytes.push(...ipv4);
  }
  return Buffer.from(bytes);
}

/** The first longest run of two zero groups or more. */
function longestZeros(groups: readonly number[]): { readonly from: number; readonly to: number } | null {
  let longest: { from: number; to: number } | null = null;
  for (let from = 0; from < groups.length; from += 1) {
    let to = from;
    while (groups[to] === 0) to += 1;
    if (to - from > 1 && (longest === null || to - from > longest.to - longest.from)) longest = { from, to };
    from = Math.max(from, to - 1);
  }
  return longest;
}
