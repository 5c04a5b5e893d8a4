import { z } from 'zod';
import { duration } from './duration.ts';
import { isNetwork, notANetwork } from './listen-schema.ts';
import type { Findings } from './read-certificates.ts';
import type { Config } from './schema.ts';

/** Who may enroll the first second factor. No default: whoever holds a leaked main password could be first (S-74). */
export const enrollment = z.enum(
  ['code', 'network', 'idp', 'open'],
  'must be chosen: code, network, idp or open',
);

/** Where first enrollments come from under `enrollment: network`. */
export const enrollmentNetworks = z.array(z.string().refine(isNetwork, notANetwork)).default([]);

export const secondFactors = z
  .strictObject({
    /** Codes to an alternate address, beside another method only: mail is no second factor of its own (S-81). */
    email_code: z.boolean().default(false),
    /** How long after a recovery code no app password can be created, unless an operator confirms (S-80); 0s for not at all. */
    recovery_hold: duration('0s').prefault('24h'),
  })
  .prefault({})
  .transform(({ email_code, recovery_hold }) => ({ emailCode: email_code, recoveryHoldMs: recovery_hold }));

/** What is wrong or doubtful about who may enroll, beyond what the schema sees in one value. */
export function checkEnrollment(config: Config, { problems, warnings }: Findings): void {
  for (const [name, domain] of Object.entries(config.domains)) {
    const setting = `domains.${name}.enrollment`;
    if (domain.enrollment !== 'network' && domain.enrollmentNetworks.length > 0) {
      problems.push(`${setting}_networks: is for enrollment: network only`);
    }
    if (domain.mfa === 'off') continue;
    switch (domain.enrollment) {
      case 'code':
        break;
      case 'network':
        if (domain.enrollmentNetworks.length === 0) {
          problems.push(`${setting}_networks: enrollment: network needs at least one`);
        }
        if (config.portal.tls === 'none') {
          problems.push(
            `${setting}: network needs portal.tls: implicit; behind a web proxy everybody has its address`,
          );
        }
        break;
      case 'idp':
        if (domain.signIn.method !== 'oidc') {
          problems.push(`${setting}: idp needs sign_in: { method: oidc }`);
        }
        break;
      case 'open':
        warnings.push(
          `${setting}: open lets whoever holds a leaked main password enroll the first second factor`,
        );
        break;
      default:
        domain.enrollment satisfies never;
    }
  }
}
