import type { NoticeTexts } from '../notice-texts.ts';

const revoke = (url: string) => `If it was not you, revoke it now: ${url}`;
const look = (url: string) =>
  `If it was not you, change your password, tell your administrator and look at your account: ${url}`;

export const en: NoticeTexts = {
  locale: 'en-GB',
  sender: 'Account security',
  scopes: {
    imap: 'read mail (IMAP)',
    pop3: 'read mail (POP3)',
    smtp: 'send mail (SMTP)',
    'legacy-tls': 'old encryption',
  },
  methods: {
    totp: 'Authenticator app',
    passkey: 'Passkey or security key',
    email: 'Code to another e-mail address',
    recovery: 'Recovery codes',
  },
  none: 'none',
  fromAddress: (address) => ` from ${address}`,
  byAdministrator: ' by an administrator',
  secondCopy: 'This is a second copy, sent a day after the first.',
  footer: (hostname) =>
    `This message was sent by ${hostname} by itself. Nobody from support will ask for a password.`,
  kinds: {
    'app-password-created': {
      subject: ({ label }) => `New app password: ${label}`,
      body: ({ address, when, who, scopes, url }) => [
        `An app password was created for ${address} on ${when}${who}. Allowed: ${scopes}.`,
        revoke(url),
      ],
    },
    'app-password-first-used': {
      subject: ({ label }) => `First use of the app password ${label}`,
      body: ({ address, when, label, source, client, url }) => [
        `The app password “${label}” of ${address} was used for the first time on ${when}, from ${source}.${
          client === '' ? '' : ` The app calls itself ${client}.`
        }`,
        revoke(url),
      ],
    },
    'app-password-revoked': {
      subject: ({ label }) => `App password revoked: ${label}`,
      body: ({ address, when, who, label, url }) => [
        `The app password “${label}” of ${address} was revoked on ${when}${who}.`,
        look(url),
      ],
    },
    'app-passwords-revoked': {
      subject: ({ count }) => `App passwords revoked: ${count}`,
      body: ({ address, when, who, count, url }) => [
        `App passwords of ${address} were revoked on ${when}${who}: ${count}.`,
        look(url),
      ],
    },
    'factor-added': {
      subject: ({ method }) => `Verification method added: ${method}`,
      body: ({ address, when, who, method, url }) => [
        `A verification method was added to ${address} on ${when}${who}: ${method}.`,
        look(url),
      ],
    },
    'factor-removed': {
      subject: ({ method }) => `Verification method removed: ${method}`,
      body: ({ address, when, who, method, url }) => [
        `A verification method was removed from ${address} on ${when}${who}: ${method}.`,
        look(url),
      ],
    },
    'factor-disabled': {
      subject: ({ method }) => `Verification method turned off: ${method}`,
      body: ({ address, when, who, method, url }) => [
        `A verification method of ${address} was turned off on ${when}${who}: ${method}. It is turned off by itself when wrong codes are entered too often.`,
        look(url),
      ],
    },
    'factor-reset': {
      subject: ({ method }) => `Verification method reset: ${method}`,
      body: ({ address, when, who, method, url }) => [
        `A verification method of ${address} was reset on ${when}${who}: ${method}.`,
        look(url),
      ],
    },
    'passkey-copied': {
      subject: () => 'A passkey may have been copied',
      body: ({ address, when, who, url }) => [
        `A passkey of ${address} was used on ${when}${who} with a counter that had been used before. Somebody may have copied the key. Remove it and create a new one.`,
        look(url),
      ],
    },
    'factors-reset': {
      subject: () => 'Your verification methods were reset',
      body: ({ address, when, who, url }) => [
        `All verification methods of ${address} were removed on ${when}${who}. At your next sign-in you set up a new one.`,
        look(url),
      ],
    },
    'recovery-codes-created': {
      subject: () => 'New recovery codes',
      body: ({ address, when, who, url }) => [
        `New recovery codes were created for ${address} on ${when}${who}. The old ones do not work any more.`,
        look(url),
      ],
    },
    'recovery-code-used': {
      subject: () => 'A recovery code was used',
      body: ({ address, when, who, count, url }) => [
        `A recovery code of ${address} was used on ${when}${who}. Recovery codes left: ${count}.`,
        look(url),
      ],
    },
    'alternate-address-changed': {
      subject: () => 'Alternate e-mail address changed',
      body: ({ address, when, who, old, new: now, url }) => [
        `The alternate e-mail address of ${address} was changed on ${when}${who}. Before: ${old}. Now: ${now}.`,
        look(url),
      ],
    },
    'factors-guessed': {
      subject: () => 'Somebody may know your password',
      body: ({ address, when, who, url }) => [
        `Somebody entered the right password of ${address} on ${when}${who}, and then a wrong verification code five times. They did not get in.`,
        look(url),
      ],
    },
    'many-changes': {
      subject: () => 'More changes to your account',
      body: ({ address, url }) => [
        `More was changed in ${address} within an hour than is reported one by one. See all of it: ${url}`,
      ],
    },
  },
  code: {
    subject: (code) => `Your verification code: ${code}`,
    body: (until) => [
      `Enter it on the page where you asked for it. It is valid until ${until}.`,
      'If you did not ask for it, ignore this message.',
    ],
  },
};
