import { maxLabelCharacters, maxNetworks } from '../../credentials/app-password-grant.ts';
import { canonicalFence, type Fence, maxNames as maxFenceNames, noFence } from '../../credentials/fence.ts';
import { canonicalCidr } from '../../credentials/network.ts';
import { opensProtocol, type Scope } from '../../credentials/scope.ts';

/** What an app password is wanted to be good for, as typed: nothing is canonical yet. */
export interface AppPasswordWish {
  readonly label: string;
  readonly scopes: readonly Scope[];
  /** Addresses and CIDRs; empty allows every network. */
  readonly networks: readonly string[];
  /** NaN for a number that is none. */
  readonly fence: Fence;
}

/** What is wrong with a wish: which part of it, and how. Texts are the caller's. */
export type WishProblem =
  | { readonly field: 'label'; readonly kind: 'missing' | 'bad-characters' }
  | { readonly field: 'label'; readonly kind: 'too-long'; readonly most: number }
  | { readonly field: 'scopes'; readonly kind: 'missing' }
  | {
      readonly field: 'networks' | 'from' | 'recipientDomains';
      readonly kind: 'bad-entry';
      /** The first one that is not understood. */
      readonly value: string;
    }
  | {
      readonly field: 'networks' | 'from' | 'recipientDomains';
      readonly kind: 'too-many';
      readonly most: number;
    }
  | {
      readonly field:
        | 'messagesPerHour'
        | 'messagesPerDay'
        | 'recipientsPerHour'
        | 'recipientsPerDay'
        | 'maxBytes';
      readonly kind: 'bad-number';
    }
  /** Nothing of the above: the names of the fence together are too long. */
  | { readonly field: 'fence'; readonly kind: 'too-long' };

const names = ['from', 'recipientDomains'] as const;
const numbers = [
  'messagesPerHour',
  'messagesPerDay',
  'recipientsPerHour',
  'recipientsPerDay',
  'maxBytes',
] as const;

/** Every problem of a wish at once; none: the store takes it. */
export function problemsOfWish({ label, scopes, networks, fence }: AppPasswordWish): readonly WishProblem[] {
  const problems: WishProblem[] = [];
  const text = label.trim();
  if (text === '') problems.push({ field: 'label', kind: 'missing' });
  else if ([...text].length > maxLabelCharacters) {
    problems.push({ field: 'label', kind: 'too-long', most: maxLabelCharacters });
  } else if (/\p{C}|[\p{Zl}\p{Zp}]/u.test(text)) problems.push({ field: 'label', kind: 'bad-characters' });
  if (!opensProtocol(scopes)) problems.push({ field: 'scopes', kind: 'missing' });
  problems.push(...problemsOfList('networks', networks, maxNetworks, (each) => canonicalCidr(each) !== null));
  for (const field of names) {
    const isGood = (each: string) => isFence({ [field]: [each] });
    problems.push(...problemsOfList(field, fence[field] ?? [], maxFenceNames, isGood));
  }
  for (const field of numbers) {
    if (fence[field] !== null && !isFence({ [field]: fence[field] })) {
      problems.push({ field, kind: 'bad-number' });
    }
  }
  if (problems.length === 0 && !isFence(fence)) problems.push({ field: 'fence', kind: 'too-long' });
  return problems;
}

function problemsOfList(
  field: 'networks' | 'from' | 'recipientDomains',
  values: readonly string[],
  most: number,
  isGood: (value: string) => boolean,
): readonly WishProblem[] {
  if (values.length > most) return [{ field, kind: 'too-many', most }];
  const bad = values.find((value) => !isGood(value));
  return bad === undefined ? [] : [{ field, kind: 'bad-entry', value: bad }];
}

function isFence(part: Partial<Fence>): boolean {
  return canonicalFence({ ...noFence, ...part }).kind === 'fence';
}
