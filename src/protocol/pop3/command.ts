const space = 0x20;
const nul = 0;

/** A line taken apart (RFC 1939 3). */
export interface Command {
  /** In capitals; empty where the line begins with no word of letters and digits, and then never echoed or logged. */
  readonly name: string;
  /** What follows the one space behind the name, byte for byte; null where there is no space. */
  readonly args: Buffer | null;
}

/** Never fails: a line of no sense is a command of no name. `args` is a view on `line`. */
export function parseCommand(line: Buffer): Command {
  const end = line.indexOf(space);
  const head = (end === -1 ? line : line.subarray(0, end)).toString('latin1', 0, 16);
  const name = /^[A-Za-z0-9]{1,12}$/.test(head) ? head.toUpperCase() : '';
  return { name, args: end === -1 ? null : line.subarray(end + 1) };
}

export function isBlank(line: Buffer): boolean {
  return line.every((byte) => byte === space);
}

/** Null where nothing is named, or with a NUL, which is no character of a name (wire 24). Spaces around it are nothing. */
export function parseUser(args: Buffer | null): Buffer | null {
  const name = trimmed(args ?? Buffer.alloc(0));
  return name.length === 0 || name.includes(nul) ? null : Buffer.from(name);
}

/** RFC 1939 7: everything behind the one space, further spaces with it (wire 143). Null as for {@link parseUser}. */
export function parsePass(args: Buffer | null): Buffer | null {
  return args === null || args.includes(nul) ? null : Buffer.from(args);
}

/** The arguments of AUTH; `initial` is still base64, empty for the `=` that means an empty response (RFC 5034 4). */
export interface AuthArguments {
  readonly mechanism: string;
  readonly initial: Buffer | null;
}

/** RFC 5034 4, with spaces to spare (wire 40). Null where no mechanism is named. */
export function parseAuth(args: Buffer): AuthArguments | null {
  const words = trimmed(args);
  const end = words.indexOf(space);
  const mechanism = (end === -1 ? words : words.subarray(0, end)).toString('latin1', 0, 64);
  if (!/^[A-Za-z0-9_-]{1,20}$/.test(mechanism)) return null;
  if (end === -1) return { mechanism, initial: null };
  const initial = trimmed(words.subarray(end));
  return { mechanism, initial: initial.toString('latin1', 0, 2) === '=' ? Buffer.alloc(0) : initial };
}

function trimmed(bytes: Buffer): Buffer {
  let start = 0;
  let end = bytes.length;
  while (start < end && bytes[start] === space) start++;
  while (end > start && bytes[end - 1] === space) end--;
  return bytes.subarray(start, end);
}
