import type { AuditEntryRow } from '../store/schema.ts';
import { parseEntry } from './audit-chain.ts';

/** An entry as a line of JSON, its head the last member: without that they are the bytes that the head covers. */
export function auditLine({ chain, seq, entry, head }: AuditEntryRow): string {
  const hash = head.toString('hex');
  const isWhole = parseEntry(entry) !== null && entry.startsWith('{"') && entry.endsWith('}');
  // Not ours, and so not to be trusted with the line.
  if (!isWhole || /[\n\r]/.test(entry)) return JSON.stringify({ chain, seq, altered: entry, head: hash });
  return `${entry.slice(0, -1)},"head":"${hash}"}`;
}
