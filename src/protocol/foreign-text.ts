/** What a line of ours may carry of a text that is not ours (wire 84). */
const foreignTextBytes = 300;

/**
 * Makes a text that is not ours fit for a line: printable ASCII, bounded, not to be taken for a response code.
 * Runs that could be base64 are left out: a backend that quotes our AUTHENTICATE must not publish it (S-91).
 */
export function foreignText(text: string): string {
  const harmless = text.replace(/[^\x20-\x7e]+/g, ' ').replace(/[A-Za-z0-9+/=]{24,}/g, '...');
  return harmless
    .slice(0, foreignTextBytes)
    .replace(/^[\s[\]]+/, '')
    .trimEnd();
}
