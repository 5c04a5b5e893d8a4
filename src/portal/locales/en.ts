/** English texts of the portal by key; `Texts` is what another language has to offer. */
export const en = {
  language: 'en',
  product: 'App passwords',
  errorTitle: (title: string) => `Error: ${title}`,
  next: 'Next',
  continue: 'Continue',
  cancel: 'Cancel',
  done: 'Done',
  signOut: 'Sign out',
  skip: 'Skip to content',
  account: 'Signed in as',
  copy: 'Copy',
  copied: 'Copied to the clipboard.',
  copyFailed: 'Your browser did not allow copying. The text is selected: copy it by hand.',
  tryAgain: 'Try again',
  errorSummary: 'There is a problem',
  optional: '(optional)',
  code: 'Verification code',
  codeHint: 'Six digits',
  codeWrong:
    'That code is not right. Check that the time on your phone is right, then enter the code shown now.',
  codeUsed: 'That code has already been used. Wait for the next one.',
  codeLength: 'Enter all six digits.',
  steps: {
    name: 'Progress',
    labels: ['Verification', 'Your mail app', 'App password'],
    done: 'done',
    current: 'current step',
  },
  signIn: {
    title: 'Sign in',
    lead: 'Sign in with your work or school account and your password.',
    address: 'E-mail address',
    password: 'Password',
    submit: 'Sign in',
    wrong:
      'The e-mail address or the password is not right. Use your usual password here, not an app password.',
    noAddress: 'Enter your e-mail address.',
    noPassword: 'Enter your password.',
    cannotCheck: 'We cannot check your password right now. It may well be right. Try again in a few minutes.',
  },
  notRequired: {
    title: 'Multi-factor authentication is not required for your account',
    body: 'The options on these pages are not available to you.',
    refuse: 'Mail apps cannot sign in to this account with a password.',
    ask: 'If you need an app password, ask your administrator whether MFA can be turned on for your account.',
  },
  setUp: {
    title: 'Your account needs a second way to confirm that it is you',
    body: 'Your organization requires multi-factor authentication (MFA). Set up a verification method now; then you get an app password for Outlook, Apple Mail and other apps that require it.',
    optionalTitle: 'App passwords need a second way to confirm that it is you',
    optionalBody:
      'Multi-factor authentication (MFA) is optional for your account. Set up a verification method to get app passwords for Outlook, Apple Mail and other apps that require them.',
    duration: 'It takes about two minutes. Have your phone ready, or an authenticator app on this device.',
    button: 'Set it up now',
  },
  setUpApp: {
    title: 'Set up an authenticator app',
    open: 'Open an authenticator app, for example Microsoft Authenticator or Google Authenticator.',
    scan: 'Add an account and scan this QR code.',
    qrAlt: 'QR code with the setup key. The key is shown as text beside it.',
    cannotScan: 'Can’t scan it? Enter this setup key in the app:',
    openApp: 'Open an authenticator app on this device',
    enter: 'Enter the six-digit code that the app shows.',
    verify: 'Verify',
    copyKey: 'Copy setup key',
  },
  verified: {
    title: 'Your verification method works',
    body: 'Choose Next to get your app password.',
  },
  secret: {
    title: 'Your app password',
    lead: 'Use it in Outlook, Apple Mail and other apps that require it, in place of your usual password.',
    once: 'It is shown only once. You don’t need to memorize it: copy it, then paste it into the password field of your app.',
    spaces: 'Spaces and capital letters do not matter.',
    keep: 'Only the device you are setting up needs it. Nobody from support will ask for it.',
    label: 'Name',
    copy: 'Copy',
    settings: 'Settings for your mail app',
    user: 'User name',
    password: 'Password',
    passwordValue: 'the app password above',
    incoming: 'Incoming mail (IMAP)',
    outgoing: 'Outgoing mail (SMTP)',
    endpoint: (port: number) => `port ${port}, SSL/TLS`,
    copyUser: 'Copy user name',
    copyHost: 'Copy server name',
    guides: 'Step by step',
    test: 'Check that your app works before you leave this page.',
    shownTitle: 'Already shown',
    shown:
      'This app password has already been shown and cannot be shown again. If you do not have it, revoke it and create a new one.',
    toList: 'Go to your app passwords',
  },
  apps: {
    outlook: {
      name: 'Outlook',
      hint: 'Outlook 2016 and earlier, for Windows or Mac',
      guide: 'Outlook 2016 and earlier',
      steps: (at: MailSettings) => [
        'Choose File, then Add Account. Choose manual setup, then POP or IMAP.',
        `Choose account type IMAP. Enter ${at.host} as the incoming and as the outgoing mail server.`,
        `Outlook fills in only part of the user name: replace it with ${at.user}. Paste the app password. Leave “Secure Password Authentication” off.`,
        'Choose More Settings. Under Outgoing Server, tick that the server requires authentication, with the same settings as for incoming mail.',
        `Under Advanced, choose the encryption first, then the port: SSL/TLS with ${at.imapPort} for incoming and SSL/TLS with ${at.smtpPort} for outgoing mail.`,
        'Choose OK, then Next. Outlook tests both servers.',
      ],
    },
    appleMail: {
      name: 'Apple Mail',
      hint: 'Mail on a Mac, iPhone or iPad',
      guide: 'Apple Mail',
      steps: (at: MailSettings) => [
        'On a Mac choose Mail, Add Account, Other Mail Account. On an iPhone or iPad open Settings, Mail Accounts, Add Account, Other.',
        `Enter your name, ${at.user} and the app password.`,
        '“Unable to verify account name or password” is normal at this point: more fields appear.',
        `Choose IMAP. Enter ${at.host} for incoming and for outgoing mail, each with ${at.user} and the app password, also where it says optional.`,
        `On a Mac then open Settings, Accounts, Server Settings and turn off “Automatically manage connection settings” for both servers: port ${at.imapPort} and port ${at.smtpPort}, both with TLS.`,
      ],
    },
    other: {
      name: 'Another app or device',
      hint: 'Thunderbird, a phone, a scanner, a script',
      guide: 'Other apps, scanners and scripts',
      steps: (at: MailSettings) => [
        `Incoming mail: IMAP, ${at.host}, port ${at.imapPort}, SSL/TLS. Outgoing mail: SMTP, ${at.host}, port ${at.smtpPort}, SSL/TLS.`,
        `User name ${at.user} for both. Authentication: normal password.`,
        `A device that only sends needs the outgoing settings alone. Its sender address must be ${at.user}.`,
      ],
    },
  },
  devices: {
    windows: 'Windows computer',
    mac: 'Mac',
    iphone: 'iPhone',
    ipad: 'iPad',
    android: 'Android phone',
    linux: 'Linux computer',
  },
  create: {
    title: 'Create an app password',
    firstTitle: 'Which app is your password for?',
    lead: 'Create one for each app or device. Then you can end one without touching the others.',
    app: 'App',
    device: 'Where do you use it?',
    deviceHint: 'For example: Windows computer, kitchen iPad, scanner on floor 2',
    scopes: 'What it may do',
    imap: 'Read mail (IMAP)',
    smtp: 'Send mail (SMTP)',
    noApp: 'Choose an app.',
    noDevice: 'Enter where you use it.',
    badDevice: (most: number) => `Use at most ${most} letters, digits and signs.`,
    noScope: 'Choose at least one permission.',
    submit: 'Create app password',
    label: (app: string | null, device: string) => (app === null ? device : `${app}, ${device}`),
    limit: (most: number) =>
      `You have reached the limit of ${most} app passwords. Revoke one that you no longer use.`,
    tooMany: 'You have created many app passwords in a short time. Try again later.',
    failed: 'This app password could not be created. Check the name and try again.',
  },
  list: {
    title: 'App passwords',
    lead: 'Each app or device signs in with an app password of its own.',
    empty: 'You have no app passwords.',
    emptyHint: 'Create one for each app or device.',
    create: 'Create an app password',
    created: 'Created',
    lastUsed: 'Last used',
    allowed: 'Allowed',
    expires: 'Expires',
    neverUsed: 'Never used',
    scopes: {
      imap: 'Read (IMAP)',
      pop3: 'Read (POP3)',
      smtp: 'Send (SMTP)',
      'legacy-tls': 'Old encryption',
    },
    usedFrom: (when: string, protocol: string | null, address: string | null) =>
      [when, protocol === null ? null : protocol.toUpperCase(), address === null ? null : `from ${address}`]
        .filter((part) => part !== null)
        .join(', '),
    states: { active: 'Active', expired: 'Expired', revoked: 'Revoked' },
    ended: (count: number) => `No longer valid (${count})`,
    revoked: (label: string) => `“${label}” has been revoked.`,
    revokedAll: 'All app passwords have been revoked.',
    passwordChange:
      'Changing your usual password does not end app passwords. Revoke those you no longer use.',
  },
  revoke: {
    button: 'Revoke',
    all: 'Revoke all',
    named: (label: string) => `“${label}”`,
    title: (label: string) => `Revoke “${label}”?`,
    body: 'The app or device that uses it is signed out within seconds and cannot sign in with it again. This cannot be undone.',
    titleAll: 'Revoke all app passwords?',
    bodyAll: 'Every mail app and device will need a new app password. This cannot be undone.',
    keep: 'Keep it',
    keepAll: 'Keep them',
  },
  confirm: {
    title: 'Confirm that it is you',
    signIn: 'Enter the code that your authenticator app shows now.',
    body: 'Creating an app password or revoking all of them needs a fresh verification. Enter the code that your authenticator app shows now.',
    submit: 'Confirm',
    lost: 'Your authenticator app is gone? Ask your administrator.',
    disabledTitle: 'Your verification method is turned off',
    disabled:
      'There were too many wrong codes. If you did not enter them, somebody else may know your usual password: change it. Ask your administrator to reset your verification method. Your mail apps keep working.',
  },
  failed: {
    title: 'Something went wrong on our side',
    body: 'It has nothing to do with your password. Try again. If it happens again, give your administrator this number:',
  },
  unavailable: {
    title: 'Temporarily unavailable',
    body: 'Nothing was changed. Mail apps that are already set up may keep working. Try again in a few minutes.',
  },
  throttled: {
    title: 'Too many attempts',
    body: (wait: string) =>
      `Try again in ${wait}. Your account is not locked and your mail apps keep working.`,
  },
  ended: {
    title: 'Your session has ended',
    body: 'You were signed out because nothing happened for a while. Your changes up to then are saved.',
    secret: 'If an app password had not been copied yet, revoke it and create a new one.',
    button: 'Sign in again',
  },
  notFound: {
    title: 'This page does not exist',
    body: 'The address may be mistyped, or what it showed is gone.',
    button: 'Go to the start page',
  },
  outdated: {
    title: 'This form is out of date',
    body: 'Nothing was changed. Open the page again.',
  },
  badRequest: {
    title: 'Your browser sent something unexpected',
    body: 'Nothing was changed. Open the page again.',
  },
  wait: (ms: number) => {
    const minutes = Math.ceil(ms / 60_000);
    if (minutes <= 1) return 'a minute';
    return minutes < 90 ? `${minutes} minutes` : `${Math.ceil(minutes / 60)} hours`;
  },
  date: (at: number) =>
    new Intl.DateTimeFormat('en-GB', {
      day: 'numeric',
      month: 'short',
      year: 'numeric',
      timeZone: 'UTC',
    }).format(at),
  ago: (ms: number) => {
    const minutes = Math.floor(ms / 60_000);
    if (minutes < 1) return 'just now';
    if (minutes < 60) return count(minutes, 'minute');
    if (minutes < 48 * 60) return count(Math.floor(minutes / 60), 'hour');
    return count(Math.floor(minutes / 1_440), 'day');
  },
};

/** What a mail app has to be told, as the guides print it. */
export interface MailSettings {
  readonly host: string;
  readonly user: string;
  readonly imapPort: number;
  readonly smtpPort: number;
}

/** The portal in one language. */
export type Texts = typeof en;

function count(number: number, unit: string): string {
  return `${number} ${unit}${number === 1 ? '' : 's'} ago`;
}
