import { type AccountName, canonicalName } from './account-name.ts';

/** What an app password may send beside what its account may (S-53, S-58). null fences nothing. */
export interface Fence {
  /** Canonical addresses, and whole domains as `@example.com`. */
  readonly from: readonly string[] | null;
  /** Canonical domains; those below them are others. */
  readonly recipientDomains: readonly string[] | null;
  readonly messagesPerHour: number | null;
  readonly messagesPerDay: number | null;
  readonly recipientsPerHour: number | null;
  readonly recipientsPerDay: number | null;
  readonly maxBytes: number | null;
}

/** `problem` is a sentence for the person. */
export type CanonicalFence =
  | { readonly kind: 'fence'; readonly fence: Fence }
  | { readonly kind: 'invalid'; readonly problem: string };

export const noFence: Fence = {
  from: null,
  recipientDomains: null,
  messagesPerHour: null,
  messagesPerDay: null,
  recipientsPerHour: null,
  recipientsPerDay: null,
  maxBytes: null,
};

// Keep the row, its MAC and a cached record small.
export const maxNames = 32;
const maxEncodedBytes = 4_096;
const maxCount = 10_000_000;
const maxSize = 1_099_511_627_776;

const counts = ['messagesPerHour', 'messagesPerDay', 'recipientsPerHour', 'recipientsPerDay'] as const;

/** The one form of a fence: names canonical, sorted and once each, numbers in range. */
export function canonicalFence(wanted: Fence): CanonicalFence {
  const from = namesOf(wanted.from, canonicalSender);
  const recipientDomains = namesOf(wanted.recipientDomains, canonicalDomain);
  if (from === 'invalid') {
    return invalid(`allowed senders are 1 to ${maxNames} addresses or whole domains such as @example.com`);
  }
  if (recipientDomains === 'invalid') {
    return invalid(`allowed recipient domains are 1 to ${maxNames} domains such as example.com`);
  }
  for (const count of counts) {
    if (!isWithin(wanted[count], maxCount)) {
      return invalid('a number of messages or recipients must be 1 to 10000000');
    }
  }
  if (!isWithin(wanted.maxBytes, maxSize)) return invalid('the largest size must be 1 byte to 1024 GiB');
  const { messagesPerHour, messagesPerDay, recipientsPerHour, recipientsPerDay, maxBytes } = wanted;
  const numbers = { messagesPerHour, messagesPerDay, recipientsPerHour, recipientsPerDay, maxBytes };
  const fence = { from, recipientDomains, ...numbers };
  if (Buffer.byteLength(encodeFence(fence)) > maxEncodedBytes) return invalid('these names are too long');
  return { kind: 'fence', fence };
}

/** A canonical fence as the row, its MAC and a cached record hold it; empty for none. */
export function encodeFence(fence: Fence): string {
  const set = Object.keys(noFence).flatMap((key) => {
    const value = fence[key as keyof Fence];
    return value === null ? [] : [[key, value] as const];
  });
  return set.length === 0 ? '' : JSON.stringify(Object.fromEntries(set));
}

/** null for anything that {@link encodeFence} would not write: what is not understood must not become no fence. */
export function decodeFence(text: string): Fence | null {
  if (text === '') return noFence;
  try {
    const canonical = canonicalFence({ ...noFence, ...(JSON.parse(text) as Partial<Fence>) });
    return canonical.kind === 'fence' && encodeFence(canonical.fence) === text ? canonical.fence : null;
  } catch {
    return null;
  }
}

/** Whether one may be named as a sender. */
export function allowsSender({ from }: Fence, name: AccountName): boolean {
  return from === null || from.includes(name.address) || from.includes(`@${name.domain}`);
}

/** Whether mail may go to a domain, in canonical form. */
export function allowsRecipient({ recipientDomains }: Fence, domain: string): boolean {
  return recipientDomains === null || recipientDomains.includes(domain);
}

function namesOf(
  names: readonly string[] | null,
  canonical: (name: string) => string | null,
): readonly string[] | null | 'invalid' {
  if (names === null) return null;
  if (!Array.isArray(names) || names.length === 0) return 'invalid';
  const all = names.map((name: unknown) => (typeof name === 'string' ? canonical(name) : null));
  if (!all.every((name) => name !== null)) return 'invalid';
  const once = [...new Set(all)].toSorted();
  return once.length > maxNames ? 'invalid' : once;
}

function canonicalSender(text: string): string | null {
  if (!text.startsWith('@')) return canonicalName(text, null)?.address ?? null;
  const domain = canonicalDomain(text.slice(1));
  return domain === null ? null : `@${domain}`;
}

function canonicalDomain(text: string): string | null {
  return canonicalName(`x@${text.trim()}`, null)?.domain ?? null;
}

function isWithin(value: number | null, most: number): boolean {
  return value === null || (Number.isSafeInteger(value) && value >= 1 && value <= most);
}

function invalid(problem: string): CanonicalFence {
  return { kind: 'invalid', problem };
}
