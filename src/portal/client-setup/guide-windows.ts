import type { WindowName, WindowWords } from './guide-texts.ts';
import type { MailService } from './mail-settings.ts';

/** A field of a mail program's window, named as the program names it. */
export interface WindowField {
  readonly name: string;
  readonly value: string;
  /** Has a Copy button: it is to be entered letter by letter. */
  readonly isCopied: boolean;
}

/** A window in words. */
export interface GuideWindow {
  readonly title: string;
  readonly fields: readonly WindowField[];
}

/** What belongs in the windows. */
export interface WindowValues {
  readonly host: string;
  /** null: nobody is signed in, so the words for it stand there. */
  readonly user: string | null;
  /** null where the protocol is not offered; then no window that needs it is drawn. */
  readonly incoming: MailService | null;
  readonly outgoing: MailService;
}

type Fields = readonly WindowField[];

/** null where a server of the window is not offered. */
export function guideWindow(window: WindowName, at: WindowValues, words: WindowWords): GuideWindow | null {
  const { host, incoming, outgoing } = at;
  const address = (name: string): WindowField => ({
    name,
    value: at.user ?? words.address,
    isCopied: at.user !== null,
  });
  const server = (name: string): WindowField => copied(name, host);
  const password = (name = 'Password'): WindowField => said(name, words.password);
  const ticked = (name: string): WindowField => said(name, words.ticked);
  const sender = (name: string): WindowField => said(name, words.yourName);

  if (window === 'scanner') return { title: 'SMTP', fields: scanner(server, address, password, outgoing) };
  if (incoming === null) return null;
  switch (window) {
    case 'outlook-account':
      return {
        title: 'Add Account: POP and IMAP Account Settings',
        fields: [
          sender('Your Name'),
          address('E-mail Address'),
          said('Account Type', 'IMAP'),
          server('Incoming mail server'),
          server('Outgoing mail server (SMTP)'),
          address('User Name'),
          password(),
          ticked('Remember password'),
          said('Require logon using Secure Password Authentication (SPA)', words.notTicked),
        ],
      };
    case 'outlook-outgoing':
      return {
        title: 'Internet E-mail Settings: Outgoing Server',
        fields: [
          ticked('My outgoing server (SMTP) requires authentication'),
          ticked('Use same settings as my incoming mail server'),
        ],
      };
    case 'outlook-advanced': {
      // Older builds call them SSL and TLS.
      const encryption = ({ tls }: MailService) => (tls === 'implicit' ? 'SSL/TLS (SSL)' : 'STARTTLS (TLS)');
      const type = 'Use the following type of encrypted connection';
      return {
        title: 'Internet E-mail Settings: Advanced',
        fields: [
          said(`${type} (IMAP)`, encryption(incoming)),
          port('Incoming server (IMAP)', incoming),
          said(`${type} (SMTP)`, encryption(outgoing)),
          port('Outgoing server (SMTP)', outgoing),
        ],
      };
    }
    case 'outlook-short':
      return {
        title: 'IMAP Account Settings',
        fields: [
          server('Incoming mail: Server'),
          port('Incoming mail: Port', incoming),
          said('Incoming mail: Encryption method', security(incoming)),
          server('Outgoing mail: Server'),
          port('Outgoing mail: Port', outgoing),
          said('Outgoing mail: Encryption method', security(outgoing)),
        ],
      };
    case 'outlook-mac':
      return {
        title: 'Accounts',
        fields: [
          address('User name'),
          password(),
          said('Type', 'IMAP'),
          server('Incoming server'),
          ticked('Override default port'),
          port('Incoming server: port', incoming),
          ticked('Use SSL to connect (recommended)'),
          server('Outgoing server'),
          port('Outgoing server: port', outgoing),
          ticked('Outgoing server: Use SSL to connect (recommended)'),
        ],
      };
    case 'outlook-mac-more':
      return { title: 'More Options', fields: [said('Authentication', 'Use Incoming Server Info')] };
    case 'apple-account':
      return {
        title: 'Add a Mail account',
        fields: [sender('Name'), address('Email Address'), password()],
      };
    case 'apple-servers':
      return {
        title: 'Add a Mail account',
        fields: [
          address('Email Address'),
          address('User Name'),
          password(),
          said('Account Type', 'IMAP'),
          server('Incoming Mail Server'),
          server('Outgoing Mail Server'),
        ],
      };
    case 'apple-incoming':
      return {
        title: 'Server Settings: Incoming Mail Server (IMAP)',
        fields: appleServer(server, address, password, incoming, words),
      };
    case 'apple-outgoing':
      return {
        title: 'Server Settings: Outgoing Mail Server (SMTP)',
        fields: appleServer(server, address, password, outgoing, words),
      };
    case 'iphone-account':
      return {
        title: 'New Account',
        fields: [sender('Name'), address('Email'), password(), said('Description', words.anyText)],
      };
    case 'iphone-servers':
      return {
        title: 'New Account: IMAP',
        fields: [
          server('Incoming Mail Server: Host Name'),
          address('Incoming Mail Server: User Name'),
          password('Incoming Mail Server: Password'),
          server('Outgoing Mail Server: Host Name'),
          address('Outgoing Mail Server: User Name'),
          password('Outgoing Mail Server: Password'),
        ],
      };
    case 'iphone-incoming-port':
      return {
        title: 'Advanced: Incoming Settings',
        fields: [ticked('Use SSL'), said('Authentication', 'Password'), port('Server Port', incoming)],
      };
    case 'iphone-outgoing-port':
      return {
        title: 'SMTP: Primary Server',
        fields: [
          ticked('Server'),
          server('Host Name'),
          address('User Name'),
          password(),
          ticked('Use SSL'),
          said('Authentication', 'Password'),
          port('Server Port', outgoing),
        ],
      };
    case 'thunderbird':
      return {
        title: 'Account Setup: Manual configuration',
        fields: [
          said('Incoming server: Protocol', 'IMAP'),
          server('Incoming server: Hostname'),
          port('Incoming server: Port', incoming),
          said('Incoming server: Connection security', security(incoming)),
          said('Incoming server: Authentication method', 'Normal password'),
          address('Incoming server: Username'),
          server('Outgoing server: Hostname'),
          port('Outgoing server: Port', outgoing),
          said('Outgoing server: Connection security', security(outgoing)),
          said('Outgoing server: Authentication method', 'Normal password'),
          address('Outgoing server: Username'),
        ],
      };
    case 'android':
      return {
        title: 'Incoming server settings, Outgoing server settings',
        fields: [
          said('Protocol', 'IMAP'),
          server('Server'),
          said('Security', security(incoming)),
          port('Port', incoming),
          address('Username'),
          said('Authentication', 'Normal password'),
          server('Outgoing server: Server'),
          said('Outgoing server: Security', security(outgoing)),
          port('Outgoing server: Port', outgoing),
          ticked('Outgoing server: Require sign-in'),
          address('Outgoing server: Username'),
        ],
      };
    case 'gmail':
      return {
        title: 'Incoming server settings, Outgoing server settings',
        fields: [
          address('Username'),
          password(),
          server('Server'),
          port('Port', incoming),
          said('Security type', security(incoming)),
          ticked('Require sign-in'),
          server('SMTP server'),
          port('SMTP server: Port', outgoing),
          said('SMTP server: Security type', security(outgoing)),
        ],
      };
    case 'any-program':
      return {
        title: 'IMAP, SMTP',
        fields: [
          address('User name'),
          password(),
          server('IMAP server'),
          port('IMAP port', incoming),
          said('IMAP encryption', security(incoming)),
          server('SMTP server'),
          port('SMTP port', outgoing),
          said('SMTP encryption', security(outgoing)),
          ticked('SMTP authentication'),
        ],
      };
    default:
      return window satisfies never;
  }
}

type Named = (name: string) => WindowField;

function scanner(server: Named, address: Named, password: Named, outgoing: MailService): Fields {
  return [
    server('SMTP server'),
    port('SMTP port', outgoing),
    said('Encryption (SSL/TLS)', security(outgoing)),
    said('SMTP authentication', 'ON'),
    address('User name'),
    password('Password'),
    address('Sender address (From)'),
    said('POP before SMTP', 'OFF'),
  ];
}

function appleServer(
  server: Named,
  address: Named,
  password: Named,
  service: MailService,
  words: WindowWords,
): Fields {
  return [
    address('User Name'),
    password('Password'),
    server('Host Name'),
    said('Automatically manage connection settings', words.notTicked),
    port('Port', service),
    said('Use TLS/SSL', words.ticked),
    said('Authentication', 'Password'),
  ];
}

function said(name: string, value: string): WindowField {
  return { name, value, isCopied: false };
}

function copied(name: string, value: string): WindowField {
  return { name, value, isCopied: true };
}

function port(name: string, service: MailService): WindowField {
  return copied(name, String(service.port));
}

function security({ tls }: MailService): string {
  return tls === 'implicit' ? 'SSL/TLS' : 'STARTTLS';
}
