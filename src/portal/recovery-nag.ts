import type { Factors } from '../identity/second-factor/factors.ts';
import type { Account } from '../store/schema.ts';
import type { Language } from './language.ts';

/** With so few it is time for new ones. */
const few = 3;

/** What reminds a person of recovery codes, until they are saved and while enough are left; null for nothing. */
export async function recoveryNag(
  factors: Factors,
  account: Account,
  { texts: { recovery: t }, formats }: Language,
): Promise<string | null> {
  // Whose identity provider asks for the second factor has none here to lose.
  if ((await factors.stateOf(account)) === 'none') return null;
  const state = await factors.recoveryOf(account);
  if (state === null || !state.isSaved) return t.nag;
  return state.left <= few ? t.nagFew(formats.number(state.left)) : null;
}
