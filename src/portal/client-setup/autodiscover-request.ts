import { SaxesParser } from 'saxes';

/** What an Autodiscover POST asks for. */
export type AutodiscoverRequest =
  /** As sent: Outlook keeps the spelling. */
  | { readonly kind: 'address'; readonly address: string }
  /** ActiveSync, which is not mail as we know it. */
  | { readonly kind: 'other-schema' }
  | { readonly kind: 'invalid' };

const invalid: AutodiscoverRequest = { kind: 'invalid' };
const utf8 = new TextDecoder('utf-8', { fatal: true });
/** Autodiscover, Request, EMailAddress, and room for what others add. */
const deepest = 16;

/**
 * Reads the request of Outlook and those who ask like it. Names count without prefix, namespace and case, unknown elements are
 * passed over. A document type is refused, and with it every entity that is not XML's own.
 */
export function readAutodiscoverRequest(body: Buffer): AutodiscoverRequest {
  let fields: Readonly<Record<string, string>>;
  try {
    fields = fieldsOf(utf8.decode(body));
  } catch {
    return invalid;
  }
  const schema = fields.acceptableresponseschema ?? '';
  if (/mobilesync/i.test(schema)) return { kind: 'other-schema' };
  const address = (fields.emailaddress ?? fields.legacydn ?? '').trim();
  return isAddress(address) ? { kind: 'address', address } : invalid;
}

function isAddress(text: string): boolean {
  return text.length <= 254 && /^[^\s@<>"\\]+@[^\s@<>"\\]+$/.test(text) && !/\p{C}/u.test(text);
}

/** Texts of the children of the first `Request`, by lower-case name; the first of each. Throws for what is not well-formed. */
function fieldsOf(text: string): Readonly<Record<string, string>> {
  const fields: Record<string, string> = Object.create(null);
  const open: string[] = [];
  let isRead = false;
  const isField = () => open.length === 3 && open[0] === 'autodiscover' && open[1] === 'request' && !isRead;
  const parser = new SaxesParser();
  parser.on('error', (error) => {
    throw error;
  });
  parser.on('doctype', () => {
    throw new Error('a document type');
  });
  parser.on('opentag', ({ name }) => {
    open.push(name.slice(name.indexOf(':') + 1).toLowerCase());
    if (open.length > deepest) throw new Error('too deep');
    if (isField()) value = '';
  });
  let value = '';
  const add = (part: string) => {
    if (isField()) value += part;
  };
  parser.on('text', add);
  parser.on('cdata', add);
  parser.on('closetag', () => {
    const name = open.at(-1) ?? '';
    if (isField() && !(name in fields)) fields[name] = value;
    if (open.length === 2 && name === 'request') isRead = true;
    open.pop();
  });
  parser.write(text).close();
  return fields;
}
