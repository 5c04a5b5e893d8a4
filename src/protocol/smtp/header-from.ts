import { addressesIn, decodeWords } from './display-text.ts';

// Who a message claims to be from, for a policy that must not be talked past. Mail programs disagree on every odd form, and
// an attacker picks the form that we read one way and they another. So nothing is repaired: what is not read with certainty
// is `uncertain`, and whatever looks like an address in a name or comment is told too, for some programs show only that.

export type HeaderFrom =
  | {
      readonly kind: 'read';
      /** Every address of From and Sender as written, at least one. */
      readonly addresses: readonly string[];
      /** What looks like an address in their display names and comments, encoded words decoded. */
      readonly shown: readonly string[];
    }
  | { readonly kind: 'missing' }
  | { readonly kind: 'uncertain'; readonly problem: string };

/** RFC 5322 2.1.1 has no limit; the relay holds no more of a message. */
const maxSectionBytes = 65_536;
/** Nobody has that many authors, and some of the searches are quadratic. */
const maxFieldCharacters = 4_096;

/** Reads From and Sender of a header section, with or without the empty line behind it. */
export function readHeaderFrom(section: Buffer): HeaderFrom {
  // A full one may go on where nobody looks, with another From.
  if (section.length >= maxSectionBytes) return uncertain('the header section is too long');
  const fields = splitFields(section);
  if (typeof fields === 'string') return uncertain(fields);
  const from = fields.filter(({ name }) => name === 'from');
  const sender = fields.filter(({ name }) => name === 'sender');
  if (from.length === 0) return { kind: 'missing' };
  if (from.length > 1) return uncertain('there are several From fields');
  if (sender.length > 1) return uncertain('there are several Sender fields');

  const addresses: string[] = [];
  const shown: string[] = [];
  for (const { body } of [...from, ...sender]) {
    const problem = readMailboxes(body, addresses, shown);
    if (problem !== null) return uncertain(problem);
  }
  return { kind: 'read', addresses, shown };
}

interface Field {
  /** In lower case. */
  readonly name: string;
  /** Unfolded. */
  readonly body: string;
}

/** The fields, or what is wrong with the section. */
function splitFields(section: Buffer): readonly Field[] | string {
  const fields: { readonly name: string; body: string }[] = [];
  // A bare CR or LF ends a line for the backend, whatever it was for the client (wire 107).
  for (const line of textOf(section).split(/\r\n|\r|\n/)) {
    if (line === '') break;
    // Some programs end a line at these too, and servers take a dot from the beginning of one.
    if (/[\x00\x0b\x0c\x1c-\x1e\x85\u2028\u2029]|^\./.test(line)) return 'a line that may be read as another';
    if (/^[ \t]/.test(line)) {
      const field = fields.at(-1);
      // Some end the header at a line of spaces, some go on.
      if (field === undefined || line.trim() === '')
        return 'a line begins with a space and continues nothing';
      field.body += line;
      continue;
    }
    // RFC 5322 4.5 lets spaces stand before the colon.
    const [head, name] = /^([\x21-\x39\x3b-\x7e]+)[ \t]*:/.exec(line) ?? [];
    // Some take such a line for the end of the header, some skip it.
    if (head === undefined || name === undefined) return 'a line is no header field';
    fields.push({ name: name.toLowerCase(), body: line.slice(head.length) });
  }
  return fields;
}

/** UTF-8; where it is none no byte above ASCII is told, and no address may hold one. */
function textOf(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return bytes.toString('latin1').replace(/[\x80-\xff]/g, '\ufffd');
  }
}

type Token =
  | { readonly kind: 'word' | 'quoted' | 'comment' | 'angle'; readonly text: string }
  | { readonly kind: 'comma' };

/** Adds what it finds; null where all was read. RFC 5322 3.4 without groups, routes and quoted local parts. */
function readMailboxes(body: string, addresses: string[], shown: string[]): string | null {
  // A tab folds; anything else of the kind ends or hides what somebody reads.
  if (/[\x00-\x08\x0a-\x1f\x7f]/.test(body)) return 'a control character';
  if (body.length > maxFieldCharacters) return 'the field is too long';
  const tokens = tokenize(body);
  if (typeof tokens === 'string') return tokens;
  let mailbox: Exclude<Token, { kind: 'comma' }>[] = [];
  for (const token of [...tokens, { kind: 'comma' } as const]) {
    if (token.kind !== 'comma') {
      mailbox.push(token);
      continue;
    }
    const problem = readMailbox(mailbox, addresses, shown);
    if (problem !== null) return problem;
    mailbox = [];
  }
  return null;
}

function readMailbox(
  tokens: readonly Exclude<Token, { kind: 'comma' }>[],
  addresses: string[],
  shown: string[],
): string | null {
  const comments = tokens.filter(({ kind }) => kind === 'comment');
  const rest = tokens.filter(({ kind }) => kind !== 'comment');
  const last = rest.at(-1);
  if (last === undefined) return 'an empty address';
  const isBare = last.kind === 'word' && rest.length === 1;
  if (!isBare && last.kind !== 'angle') return 'an address that is none';
  const phrase = rest.slice(0, -1);
  if (phrase.some(({ kind }) => kind === 'angle')) return 'two addresses in one';
  const address = last.text.trim();
  if (!isPlainAddress(address)) return 'an address that is none';
  addresses.push(address);

  // Joined as they are shown: an address may be spread over several words.
  for (const text of [phrase, comments].map((words) => words.map((word) => word.text).join(' '))) {
    const decoded = decodeWords(text);
    if (decoded === null) return 'an encoded word that cannot be read';
    shown.push(...addressesIn(text), ...addressesIn(decoded));
  }
  return null;
}

/** Words of no meaning for the grammar but between brackets, quotes, commas and spaces. The text, or what is wrong. */
function tokenize(body: string): readonly Token[] | string {
  const tokens: Token[] = [];
  let at = 0;
  while (at < body.length) {
    const character = body[at] ?? '';
    if (character === ' ' || character === '\t') {
      at++;
      continue;
    }
    if (character === ',') {
      tokens.push({ kind: 'comma' });
      at++;
      continue;
    }
    if (character === '"' || character === '(') {
      const end = endOf(body, at);
      if (end === null) return 'a quote or comment without an end';
      const text = body.slice(at + 1, end).replace(/\\(.)/g, '$1');
      tokens.push({ kind: character === '"' ? 'quoted' : 'comment', text });
      at = end + 1;
      // A local part may be quoted, and what stands beside a comment belongs to it or not: read by nobody alike.
      if (character === '"' && body[at] === '@') return 'a quoted local part';
      continue;
    }
    if (character === '<') {
      const end = body.indexOf('>', at);
      if (end === -1) return 'a bracket without an end';
      tokens.push({ kind: 'angle', text: body.slice(at + 1, end) });
      at = end + 1;
      continue;
    }
    const [word] = /^[^\s<>()",;:\\]+/u.exec(body.slice(at)) ?? [];
    if (word === undefined) return 'a character that stands for something else';
    at += word.length;
    if (word.includes('@') && (body[at] === '(' || body[at] === '"')) return 'a comment within an address';
    tokens.push({ kind: 'word', text: word });
  }
  return tokens;
}

/** Where a quoted string or a comment, which may hold others, ends; null where it does not. */
function endOf(body: string, start: number): number | null {
  const isComment = body[start] === '(';
  let depth = 1;
  for (let at = start + 1; at < body.length; at++) {
    const character = body[at];
    if (character === '\\') at++;
    else if (isComment && character === '(') depth++;
    else if (character === (isComment ? ')' : '"')) depth--;
    if (depth === 0) return at;
  }
  return null;
}

/** A dot-atom, `@`, a name: no brackets, quotes, spaces, encoded words or second `@`. */
function isPlainAddress(text: string): boolean {
  return /^[^\s@<>()[\]\\,;:"\ufffd]+@[^\s@<>()[\]\\,;:"\ufffd]+$/u.test(text) && !text.includes('=?');
}

function uncertain(problem: string): HeaderFrom {
  return { kind: 'uncertain', problem };
}
