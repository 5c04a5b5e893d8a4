import type { Config } from '../config/schema.ts';
import type { Account } from '../store/schema.ts';

export type MfaPolicy = 'required' | 'optional' | 'off';

/** The account's own policy, else its domain's. `required` where the domain has left the configuration. */
export function mfaPolicyOf(account: Account, config: Pick<Config, 'domains'>): MfaPolicy {
  if (account.mfa !== null) return account.mfa;
  const domain = account.address.slice(account.address.lastIndexOf('@') + 1);
  return Object.hasOwn(config.domains, domain) ? (config.domains[domain]?.mfa ?? 'required') : 'required';
}
