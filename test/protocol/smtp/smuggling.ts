/**
 * Wire 107: what some server or other takes for the end of a message. Behind each stands what a smuggler wants to have
 * read as commands.
 */
export const smuggles: readonly (readonly [name: string, bytes: string])[] = [
  ['lflf', '\n.\n'],
  ['lfcrlf', '\n.\r\n'],
  ['crlflf', '\r\n.\n'],
  ['crcr', '\r.\r'],
  ['crcrlf', '\r.\r\n'],
  ['crlfcr', '\r\n.\r'],
  ['crlf', '\r.\n'],
  ['lfcr', '\n.\r'],
  ['nullbefore', '\r\n\0.\r\n'],
  ['nullafter', '\r\n.\0\r\n'],
  ['doubled CR', '\r\r\n.\r\r\n'],
  ['doubled CR behind the dot', '\r\n.\r\r\n'],
  ['stuffed behind LF', '\n..\r\n'],
  ['stuffed before LF', '\r\n..\n'],
  ['stuffed between LF', '\n..\n'],
  ['three dots between LF', '\n...\n'],
  ['NEL', '\x85.\x85'],
  ['two line ends', '\n\n.\n\n'],
  ['white space behind the dot', '\r\n. \r\n'],
];

export const smuggled = 'MAIL FROM:<evil@example.com>\r\nRCPT TO:<victim@example.com>\r\nDATA\r\nforged\r\n';

/** For a failure's message: bytes to be read by people. */
export function shown(bytes: string): string {
  return JSON.stringify(bytes).replace(/[\x7f-\xff]/g, (letter) => `\\x${letter.charCodeAt(0).toString(16)}`);
}

/** Why these bytes, as they stand behind 354, are not exactly one message to every server; empty where they are. */
export function doubts(onWire: string): readonly string[] {
  const found: string[] = [];
  if (!/(?:^|\r\n)\.\r\n$/.test(onWire)) found.push('has no end');
  if ((onWire.match(/(?:^|(?<=\r\n))\.\r\n/g) ?? []).length > 1) found.push('has two ends');
  if (/\r(?!\n)|(?<!\r)\n/.test(onWire)) found.push('has a bare line end');
  if (onWire.includes('\0')) found.push('has a NUL');
  return found.map((doubt) => `${doubt}: ${shown(onWire)}`);
}

/** Bodies as they stand on the wire, their end included, that are to arrive as they are (wire 102). */
export const bodies: readonly string[] = [
  '.\r\n',
  'a\r\n.\r\n',
  '\r\n.\r\n',
  '\r\n\r\n.\r\n',
  '..\r\n.\r\n',
  '...\r\n.\r\n',
  '..a\r\n.\r\n',
  '.a\r\n.\r\n',
  'a\r\n..\r\nb\r\n.\r\n',
  'a\r\n..b\r\n...\r\n....\r\n\r\n.\r\n',
  'a.\r\n.b.\r\n.\r\n',
  'Subject: x\r\n\r\n.. \r\n..\t\r\n.\r\n',
  '8 bits: \xe9\x80\x85\xff\r\n..\xff\r\n.\r\n',
];
