/** Deeper ones are nobody's: the deepest body of ours is an object in an object. */
const mostLevels = 8;

/**
 * JSON as RFC 7493 (I-JSON) has it: UTF-8 without a byte order mark, no name twice in an object, no half of a surrogate pair.
 * `JSON.parse` takes the last of two equal names, where something before us may have looked at the first (S-63). undefined:
 * it is not that, or it names what would reach a prototype.
 */
export function parseStrictJson(bytes: Buffer): unknown {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    const value: unknown = JSON.parse(text);
    return isStrict(text) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Of a text that JSON.parse takes, in which therefore quotes and brackets alone tell where names are. */
function isStrict(text: string): boolean {
  /** Names seen of each object that is open; null for an array. */
  const open: (Set<string> | null)[] = [];
  for (const [token, string, colon] of text.matchAll(/("(?:[^"\\]|\\.)*")(\s*:)?|[{}[\]]/g)) {
    if (token === '{' || token === '[') {
      open.push(token === '{' ? new Set() : null);
      if (open.length > mostLevels) return false;
    } else if (string === undefined) {
      open.pop();
    } else {
      const said = JSON.parse(string) as string;
      if (!said.isWellFormed()) return false;
      if (colon === undefined) continue;
      const names = open.at(-1);
      if (said === '__proto__' || names?.has(said) === true) return false;
      names?.add(said);
    }
  }
  return true;
}
