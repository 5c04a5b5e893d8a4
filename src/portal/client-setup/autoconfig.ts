import type { MailService, MailSettings } from './mail-settings.ts';
import { attribute, element } from './xml.ts';

const socketTypes = { implicit: 'SSL', starttls: 'STARTTLS' } as const;

/** What the document is made of; nothing about a person, so that everybody of a domain gets the same bytes. */
export interface AutoconfigParts {
  readonly domain: string;
  readonly settings: MailSettings;
  /** Help page. */
  readonly helpUrl: string;
  /** One sentence about app passwords for each language tag. */
  readonly help: readonly { readonly language: string; readonly text: string }[];
}

/**
 * Mozilla's `config-v1.1.xml`. null where IMAP or SMTP is not offered: the file would be refused, and the program asks
 * elsewhere.
 */
export function autoconfigDocument({ domain, settings, helpUrl, help }: AutoconfigParts): string | null {
  const { host, imap, pop3, smtp } = settings;
  if (imap.length === 0 || smtp.length === 0) return null;
  const server = (
    tag: 'incomingServer' | 'outgoingServer',
    type: string,
    { port, tls }: MailService,
    more: readonly string[] = [],
  ): string =>
    element(
      tag,
      [
        element('hostname', host),
        element('port', String(port)),
        element('socketType', socketTypes[tls]),
        element('authentication', 'password-cleartext'),
        element('username', '%EMAILADDRESS%'),
        ...more,
      ],
      attribute('type', type),
    );
  const leave = element('pop3', [element('leaveMessagesOnServer', 'true')]);
  const provider = [
    element('domain', domain),
    // 60 and 20 characters are all that the two may have.
    element('displayName', domain.slice(0, 60)),
    element('displayShortName', domain.slice(0, 20)),
    ...imap.map((service) => server('incomingServer', 'imap', service)),
    ...pop3.map((service) => server('incomingServer', 'pop3', service, [leave])),
    ...smtp.map((service) => server('outgoingServer', 'smtp', service)),
    element(
      'documentation',
      help.map(({ language, text }) => element('descr', text, attribute('lang', language))),
      attribute('url', helpUrl),
    ),
  ];
  const root = element(
    'clientConfig',
    [element('emailProvider', provider, attribute('id', domain))],
    attribute('version', '1.1'),
  );
  return `<?xml version="1.0" encoding="UTF-8"?>\n${root}\n`;
}
