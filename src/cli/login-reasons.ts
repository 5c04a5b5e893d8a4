import type { LoginReason } from '../credentials/login-reason.ts';

/** A reason in words: what happened, and what to do about it. */
export interface ReasonWords {
  readonly sentence: string;
  readonly remedy: string;
}

/** For the operator. The portal says the same reasons to their owner in its own words. */
export const reasonWords: Readonly<Record<LoginReason, ReasonWords>> = {
  'malformed-name': {
    sentence: 'the login name cannot be a mailbox',
    remedy: 'Set the full address as the user name in the mail program.',
  },
  'authzid-differs': {
    sentence: 'the login asked for another mailbox than its own',
    remedy: 'Remove the authorization identity from the mail program; every mailbox signs in as itself.',
  },
  'unknown-account': {
    sentence: 'there is no such account',
    remedy: 'Look for a typing mistake in the user name, or make it with `sallyport account create`.',
  },
  'not-an-app-password': {
    sentence: 'the password is not an app password',
    remedy: 'It is most likely the main password: create an app password in the portal and set it instead.',
  },
  'one-letter-wrong': {
    sentence: 'an app password with a typing mistake: its check letter does not fit',
    remedy: 'Type it again, or create a new app password and copy it.',
  },
  wrong: {
    sentence: 'an app password, and none of this account',
    remedy: 'Look whether it was made for another account; else create a new one and set it.',
  },
  revoked: {
    sentence: 'an app password that was revoked',
    remedy:
      'If the device is still in use, create a new app password for it; else remove the account from it.',
  },
  paused: {
    sentence: 'the app password is right and is paused',
    remedy:
      'Let it go on with `sallyport app-password resume ID`, or where the person paused it in the portal.',
  },
  expired: {
    sentence: 'an app password that has expired, at its time or because it was not used for long',
    remedy: 'Create a new app password and set it on the device.',
  },
  'wrong-protocol': {
    sentence: 'the app password is right and does not open this protocol',
    remedy: 'Create one with this protocol among its scopes, or allow the protocol for this one.',
  },
  'wrong-security': {
    sentence: 'the app password is right and does not open the listener for old TLS',
    remedy: 'Use the ordinary port, or give the app password the scope for old TLS.',
  },
  'wrong-network': {
    sentence: 'the app password is right and is not allowed from this network',
    remedy: 'Allow the network, or create an app password without that limit.',
  },
  'account-disabled': {
    sentence: 'the account is disabled',
    remedy: 'Enable it with `sallyport account enable`, if it is to be used.',
  },
  throttled: {
    sentence: 'too many different wrong app passwords came from this network',
    remedy:
      'Find the device that tries them. It ends after 15 minutes without new ones; `sallyport throttle clear` ends it now.',
  },
  'too-many-sessions': {
    sentence: 'too many sessions are open at once',
    remedy: 'Close mail programs that are not needed, or raise limits.sessions_per_account.',
  },
  'backend-refused': {
    sentence: 'the mail server turned the mailbox away',
    remedy: 'Look in the log of the mail server: the mailbox may be full, closed or missing there.',
  },
  'backend-down': {
    sentence: 'the mail server did not answer as it should',
    remedy: 'Nothing is wrong with the password. Run `sallyport check --connect`.',
  },
  unavailable: {
    sentence: 'the gateway could not decide',
    remedy: 'Nothing is wrong with the password. Run `sallyport check --connect` for database and Redis.',
  },
  fault: {
    sentence: 'the gateway failed',
    remedy: 'Nothing is wrong with the password. Its log has an entry at that time.',
  },
};
