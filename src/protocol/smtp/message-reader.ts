// The one place that knows where a message ends. What leaves here goes to the backend as it is, so it must show every
// server, the lenient ones too, exactly one end of data: else the rest of a message becomes commands (SMTP smuggling,
// CVE-2023-51764 and its kin, wire 107).

/** What becomes of a line end that is not CRLF. A NUL always refuses the message: some servers end a line or a string at it. */
export type BareNewlines = 'normalize' | 'refuse';

export type Offence = 'nul' | 'bare-cr' | 'bare-lf';

/** Between two segments of one message. */
export interface MessageReader {
  readonly bareNewlines: BareNewlines;
  /**
   * Where the next byte stands: at the start of a `line` (first of all, or behind CRLF), of a `made-line` (behind a CR
   * or LF that became CRLF), or `inside` of one. A client can have doubled the dot of a `line` only.
   */
  readonly place: 'line' | 'made-line' | 'inside';
  /** Read and not yet given out: what it is shows in the next byte. At most a dot and a CR. */
  readonly held: Buffer;
  /** So far, as the receiver will count it (RFC 1870 3): without doubled dots, with every line end as CRLF. */
  readonly size: number;
  /** Found unfit: the rest is read for its end alone. */
  readonly isUnfit: boolean;
}

export interface ReadMessage {
  readonly reader: MessageReader;
  /** Goes to the backend unchanged. Shares memory with the segment where that was clean. Empty where nothing was sure. */
  readonly bytes: Buffer;
  /** Found in this segment: nothing of the message may be ended from here on. */
  readonly offence: Offence | null;
  /** null: the message goes on. Else what came behind its end, the next command; {@link endOfData} is still to be sent. */
  readonly rest: Buffer | null;
}

/** What ends the message on the way out: its last line is complete always (RFC 5321 4.1.1.4). */
export const endOfData = Buffer.from('.\r\n');

const none = Buffer.alloc(0);
const lf = 0x0a;
const cr = 0x0d;
const dot = 0x2e;
const lineOfDot = Buffer.from('\r\n.');

/** Before the first byte behind 354. */
export function startMessage(bareNewlines: BareNewlines): MessageReader {
  return { bareNewlines, place: 'line', held: none, size: 0, isUnfit: false };
}

/** Reads a segment of any length. The sum of the outputs does not depend on how the message was cut (wire 109). */
export function readMessage(reader: MessageReader, segment: Buffer): ReadMessage {
  const bytes = reader.held.length === 0 ? segment : Buffer.concat([reader.held, segment]);
  const lines = dotLines(bytes, reader.place !== 'inside', reader.place === 'line');
  const isEnd = lines.end !== null;
  const cut = lines.end ?? bytes.length - undecided(bytes, reader.place);
  const body = cut === bytes.length ? bytes : bytes.subarray(0, cut);
  // Copied, because a view would keep the whole segment.
  const held = isEnd || cut === bytes.length ? none : Buffer.from(bytes.subarray(cut));
  const rest = isEnd ? bytes.subarray(cut + endOfData.length) : null;
  const next = { ...reader, place: placeBehind(body, reader.place), held };

  if (reader.isUnfit) {
    return { reader: { ...next, size: reader.size + cut }, bytes: none, offence: null, rest };
  }
  const offence = offenceIn(body, reader);
  if (offence !== null) {
    return { reader: { ...next, size: reader.size + cut, isUnfit: true }, bytes: none, offence, rest };
  }
  const isClean = !(reader.place === 'made-line' && body[0] === dot) && !hasOddByte(body);
  if (isClean) {
    const dots = lines.count - (held[0] === dot ? 1 : 0);
    return { reader: { ...next, size: reader.size + cut - dots }, bytes: body, offence: null, rest };
  }
  const made = normalized(body, reader.place);
  const { count } = dotLines(made, reader.place !== 'inside', false);
  return { reader: { ...next, size: reader.size + made.length - count }, bytes: made, offence: null, rest };
}

/** Lines that begin with a dot, up to the one that is nothing else: its dot is at `end`. */
function dotLines(
  bytes: Buffer,
  beginsLine: boolean,
  canEnd: boolean,
): { readonly count: number; readonly end: number | null } {
  let count = 0;
  if (beginsLine && bytes[0] === dot) {
    if (canEnd && isLineEnd(bytes, 1)) return { count, end: 0 };
    count++;
  }
  for (let at = bytes.indexOf(lineOfDot); at !== -1; at = bytes.indexOf(lineOfDot, at + 3)) {
    if (isLineEnd(bytes, at + 3)) return { count, end: at + 2 };
    count++;
  }
  return { count, end: null };
}

function isLineEnd(bytes: Buffer, at: number): boolean {
  return bytes[at] === cr && bytes[at + 1] === lf;
}

/** How many bytes at the end may still become the end of data, or a line end. */
function undecided(bytes: Buffer, place: MessageReader['place']): number {
  const last = bytes.length - 1;
  if (bytes[last] === dot) return beginsLine(bytes, last, place) ? 1 : 0;
  if (bytes[last] !== cr) return 0;
  return bytes[last - 1] === dot && beginsLine(bytes, last - 1, place) ? 2 : 1;
}

function beginsLine(bytes: Buffer, at: number, place: MessageReader['place']): boolean {
  return at === 0 ? place === 'line' : bytes[at - 1] === lf && bytes[at - 2] === cr;
}

function placeBehind(body: Buffer, before: MessageReader['place']): MessageReader['place'] {
  const last = body[body.length - 1];
  if (last === undefined) return before;
  // A CR in front of an LF is held back, so one that was let through is bare.
  if (last === lf) return body[body.length - 2] === cr ? 'line' : 'made-line';
  return last === cr ? 'made-line' : 'inside';
}

// One native pass over the bytes as characters: half the time of Buffer.indexOf for each line end, and no slower for a
// message of nothing but line ends.
const oddByte = /\0|\r(?!\n)|(?<!\r)\n/;

function hasOddByte(body: Buffer): boolean {
  return oddByte.test(body.toString('latin1'));
}

function offenceIn(body: Buffer, { bareNewlines }: MessageReader): Offence | null {
  if (body.includes(0)) return 'nul';
  if (bareNewlines === 'normalize') return null;
  const odd = oddByte.exec(body.toString('latin1'));
  if (odd === null) return null;
  return odd[0] === '\r' ? 'bare-cr' : 'bare-lf';
}

const bareLineEnd = /\r(?!\n)(\.?)|(?<!\r)\n(\.?)/g;
/** Alone on a line that normalizing ends. A first dot is the client's doubling where more follows; here it is the line. */
const loneDot = /(?<=\r\n)\.(?=\r(?!\n)|\n)/g;
const loneDotOrFirst = /(?<=^|\r\n)\.(?=\r(?!\n)|\n)/g;

/** Line ends become CRLF, and a line that comes into being so and begins with a dot gets another: no client has doubled it. */
function normalized(body: Buffer, place: MessageReader['place']): Buffer {
  const text = body
    .toString('latin1')
    .replace(place === 'line' ? loneDotOrFirst : loneDot, '..')
    .replace(bareLineEnd, '\r\n$1$1$2$2');
  return Buffer.from(place === 'made-line' && body[0] === dot ? `.${text}` : text, 'latin1');
}
