import type { AppPasswordView } from '../credentials/app-passwords.ts';
import type { Act } from './actions/administration.ts';
import type { ActivityDay } from './activity-texts.ts';
import type { AccountState } from './administration-views.ts';
import type { Language } from './language.ts';
import type { Link } from './views.ts';

const dangerous: ReadonlySet<Act['name']> = new Set(['disable', 'reset-factors', 'revoke-all', 'revoke']);

/** What can be done to an account in that state. */
const actsOf: Readonly<Record<AccountState, readonly Act['name'][]>> = {
  active: [
    'enrollment-code',
    'mfa',
    'end-sessions',
    'password-changed',
    'reset-factors',
    'revoke-all',
    'disable',
  ],
  disabled: ['enable', 'mfa', 'end-sessions', 'reset-factors', 'revoke-all'],
  forged: ['disable'],
};

export function isDangerous(name: Act['name']): boolean {
  return dangerous.has(name);
}

/** `id`: hex. */
export function actLinks(
  id: string,
  state: AccountState,
  isEnrolled: boolean,
  { texts }: Language,
): readonly (Link & { readonly isDangerous: boolean })[] {
  // Good for a first enrollment only.
  const names = actsOf[state].filter((name) => name !== 'enrollment-code' || !isEnrolled);
  return names.map((name) => ({
    href: `/administration/accounts/${id}/${name}`,
    label: texts.administration.acts[name].button,
    isDangerous: isDangerous(name),
  }));
}

/** `id`: of the account, hex. */
export function appPasswordActLinks(id: string, view: AppPasswordView, { texts }: Language): readonly Link[] {
  const names = view.state === 'paused' ? (['resume', 'revoke'] as const) : (['pause', 'revoke'] as const);
  return names
    .filter((name) => name !== 'pause' || view.state === 'active')
    .map((name) => ({
      href: `/administration/accounts/${id}/${name}?credential=${view.id.toString('hex')}`,
      label: texts.administration.acts[name].button,
    }));
}

/** The pages of an app password are its owner's: to somebody else they are not there. */
export function withoutLinks(days: readonly ActivityDay[]): readonly ActivityDay[] {
  return days.map((day) => ({
    ...day,
    entries: day.entries.map(({ appPassword, ...entry }) => ({
      ...entry,
      appPassword: appPassword === null ? null : { label: appPassword.label, href: null },
    })),
  }));
}
