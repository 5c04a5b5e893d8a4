import { randomInt } from 'node:crypto';
import type { MailService, MailSettings } from './mail-settings.ts';
import { attribute, element } from './xml.ts';

// http, though Microsoft's own pages print https: an answer in that namespace is not understood.
const outerNamespace = 'http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006';
const innerNamespace = 'http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a';

const messages = {
  500: 'The e-mail address cannot be found.',
  600: 'Invalid Request',
  601: 'The requested schema is not provided.',
} as const;
export type AutodiscoverError = keyof typeof messages;

/** The settings for an address, whether it exists or not. `address` as the request had it. */
export function autodiscoverSettings(address: string, settings: MailSettings): string {
  const { host, imap, pop3, smtp } = settings;
  const protocol = (type: 'IMAP' | 'POP3' | 'SMTP', { port, tls }: MailService): string =>
    element('Protocol', [
      element('Type', type),
      element('Server', host),
      element('Port', String(port)),
      element('DomainRequired', 'off'),
      element('LoginName', address),
      // Both are on where not said; SPA is NTLM.
      element('SPA', 'off'),
      element('SSL', 'on'),
      // TLS means STARTTLS here, and overrides SSL: on 993 Outlook would wait for a greeting in clear.
      ...(tls === 'starttls' ? [element('Encryption', 'TLS')] : []),
      element('AuthRequired', 'on'),
      ...(type === 'SMTP' ? [element('UsePOPAuth', 'on'), element('SMTPLast', 'off')] : []),
    ]);
  // In the order of preference, and the best of each: a second one of a type is read by nobody.
  const protocols = [
    ...imap.slice(0, 1).map((service) => protocol('IMAP', service)),
    ...pop3.slice(0, 1).map((service) => protocol('POP3', service)),
    ...smtp.slice(0, 1).map((service) => protocol('SMTP', service)),
  ];
  return document(
    element(
      'Response',
      [
        element('User', [element('DisplayName', address)]),
        element('Account', [element('AccountType', 'email'), element('Action', 'settings'), ...protocols]),
      ],
      attribute('xmlns', innerNamespace),
    ),
  );
}

/** Answered with 200 like the settings: on any other status the program goes on asking elsewhere, on 401 it asks for a password. */
export function autodiscoverError(code: AutodiscoverError, now: number): string {
  const time = new Date(now).toISOString().slice(11, 23);
  const error = element(
    'Error',
    [element('ErrorCode', String(code)), element('Message', messages[code]), '<DebugData/>'],
    attribute('Time', `${time}0000`) + attribute('Id', String(randomInt(1_000_000_000, 10_000_000_000))),
  );
  return document(element('Response', [error]));
}

function document(response: string): string {
  const root = element('Autodiscover', [response], attribute('xmlns', outerNamespace));
  return `<?xml version="1.0" encoding="utf-8"?>\n${root}\n`;
}

/** Autodiscover version 2: it can only say where version 1 is. */
export function autodiscoverJson(
  protocol: string,
  portalOrigin: string,
): { readonly status: 200 | 400; readonly body: object } {
  if (protocol.toLowerCase() === 'autodiscoverv1') {
    const Url = `${portalOrigin}/autodiscover/autodiscover.xml`;
    return { status: 200, body: { Protocol: 'AutodiscoverV1', Url } };
  }
  const said = protocol.replace(/[^A-Za-z0-9]/g, '').slice(0, 32);
  return {
    status: 400,
    body: {
      ErrorCode: 'InvalidProtocol',
      ErrorMessage: `The given protocol value '${said}' is invalid. Supported values are 'AutodiscoverV1'`,
    },
  };
}
