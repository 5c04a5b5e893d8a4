import type { Config } from '../config/schema.ts';
import { canonicalName, loggableName } from '../credentials/account-name.ts';
import type { LoginReport } from '../credentials/login-log.ts';
import type { LoginReason } from '../credentials/login-reason.ts';
import type { VerifiedLogin } from '../credentials/verifier.ts';
import { printable } from '../observability/logger.ts';
import type { LateRefusal, RefusedVerdict } from './auth-reply.ts';

/** What the log knows of a login besides how it ended. */
type Setting = Pick<LoginReport, 'protocol' | 'address' | 'client' | 'mechanism'>;

export function reportOfLogin(login: VerifiedLogin, setting: Setting): LoginReport {
  const { address: account, credentialId } = login;
  return { ...setting, reason: null, detail: null, account, mayBePassword: false, credentialId };
}

/** `name` as typed. */
export function reportOfRefusal(
  refusal: RefusedVerdict | LateRefusal,
  name: string,
  config: Pick<Config, 'domains' | 'defaultDomain'>,
  setting: Setting,
): LoginReport {
  return {
    ...setting,
    ...reasonOf(refusal),
    account: canonicalName(name, config.defaultDomain)?.address ?? null,
    mayBePassword: loggableName(name, config.domains) === null,
    credentialId: refusal.kind === 'rejected' ? refusal.credentialId : null,
  };
}

function reasonOf(refusal: RefusedVerdict | LateRefusal): {
  readonly reason: LoginReason;
  readonly detail: string | null;
} {
  switch (refusal.kind) {
    case 'rejected':
      return { reason: refusal.reason, detail: null };
    case 'revoked-meanwhile':
      return { reason: 'revoked', detail: null };
    case 'mailbox-refused':
      return { reason: 'backend-refused', detail: printable(refusal.code) };
    case 'backend-unavailable':
      return {
        reason: 'backend-down',
        detail: refusal.detail === undefined ? null : printable(refusal.detail),
      };
    case 'unavailable':
      return { reason: 'unavailable', detail: printable(refusal.cause) };
    case 'throttled':
    case 'too-many-sessions':
    case 'fault':
      return { reason: refusal.kind, detail: null };
    default:
      return refusal satisfies never;
  }
}
