import { readFile } from 'node:fs/promises';
import type { Config } from '../../config/schema.ts';
import { canonicalName } from '../../credentials/account-name.ts';
import { errorText } from '../../observability/error-text.ts';

/** Canonical addresses each account may send as beside its own. */
export type SenderAliases = ReadonlyMap<string, ReadonlySet<string>>;

export interface LoadedAliases {
  readonly aliases: SenderAliases;
  /** Each names its setting. With one, what is wrong is left out: it allows less, never more. */
  readonly problems: readonly string[];
}

/** A file of 200,000 lines; more is a mistake. */
const maxFileBytes = 16_777_216;

/** Reads `aliases` and `aliases_file` of every domain: at the start, for `check`, and again at a reload. Never rejects. */
export async function loadSenderAliases(domains: Config['domains']): Promise<LoadedAliases> {
  const aliases = new Map<string, Set<string>>();
  const problems: string[] = [];
  for (const [domain, { aliases: configured, aliasesFile }] of Object.entries(domains)) {
    const setting = `domains.${domain}.aliases`;
    for (const [alias, accounts] of Object.entries(configured)) {
      for (const account of accounts) {
        // The policy of the account's domain decides about it, so its aliases stand there.
        const isOurs = canonicalName(account, null)?.domain === domain;
        if (!isOurs) problems.push(`${setting}.${alias}: ${account} is not an address of ${domain}`);
        else if (!add(aliases, alias, account))
          problems.push(`${setting}.${alias}: is not a mailbox address`);
      }
    }
    if (aliasesFile !== null) await readVirtual(aliasesFile, domain, aliases, problems);
  }
  return { aliases, problems };
}

/**
 * Reads virtual(5): an address, spaces, the addresses it goes to, separated by commas or spaces; `#` begins a comment, a
 * space a continuation. One step only, and what it says of whole domains, of names without one and of accounts of other
 * domains gives nobody a sender: a catch-all gets the mail of a domain, and is not its people.
 */
async function readVirtual(
  file: string,
  domain: string,
  aliases: Map<string, Set<string>>,
  problems: string[],
): Promise<void> {
  const setting = `domains.${domain}.aliases_file`;
  let text: string;
  try {
    const bytes = await readFile(file);
    if (bytes.length > maxFileBytes) {
      problems.push(`${setting}: ${file} is larger than ${maxFileBytes} bytes`);
      return;
    }
    text = bytes.toString('utf8');
  } catch (error) {
    problems.push(`${setting}: ${file}: ${errorText(error)}`);
    return;
  }
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '' && !/^\s*#/.test(line));
  const entries: string[] = [];
  for (const line of lines) {
    if (!/^\s/.test(line)) entries.push(line);
    else if (entries.length === 0) problems.push(`${setting}: ${file} begins with a continuation`);
    else entries.push(`${entries.pop()} ${line}`);
  }
  for (const entry of entries) {
    const [alias = '', ...accounts] = entry.split(/[\s,]+/).filter((word) => word !== '');
    if (accounts.length === 0) problems.push(`${setting}: ${file}: "${alias}" goes nowhere`);
    for (const account of accounts) {
      if (canonicalName(account, null)?.domain === domain) add(aliases, alias, account);
    }
  }
}

function add(aliases: Map<string, Set<string>>, alias: string, account: string): boolean {
  const [from, to] = [canonicalName(alias, null), canonicalName(account, null)];
  if (from === null || to === null) return false;
  const known = aliases.get(to.address);
  if (known === undefined) aliases.set(to.address, new Set([from.address]));
  else known.add(from.address);
  return true;
}
