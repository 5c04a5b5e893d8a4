import type { Config } from '../../config/schema.ts';

/** One port as a mail program has to be told it. */
export interface MailService {
  readonly port: number;
  /** `starttls`: the connection begins in clear. */
  readonly tls: 'implicit' | 'starttls';
}

/** What mail programs connect to. Of each protocol what is best first: implicit TLS, then STARTTLS (RFC 8314 3). */
export interface MailSettings {
  readonly host: string;
  readonly imap: readonly MailService[];
  readonly pop3: readonly MailService[];
  readonly smtp: readonly MailService[];
}

/**
 * The public host with at most one port of each kind: the configured one where there are several, those that everybody can
 * reach before those behind a load balancer. Listeners for old encryption are for programs that were told of them.
 */
export function mailSettings({
  hostname,
  listen,
  clientSetup,
}: Pick<Config, 'hostname' | 'listen' | 'clientSetup'>): MailSettings {
  const direct = listen.filter((each) => !each.legacyTls && each.proxyProtocolFrom.length === 0);
  const balanced = listen.filter((each) => !each.legacyTls && each.proxyProtocolFrom.length > 0);
  const offered = clientSetup.services ?? [...direct, ...balanced];
  const servicesOf = (door: 'imap' | 'pop3' | 'smtp'): readonly MailService[] =>
    (['implicit', 'starttls'] as const).flatMap((tls) => {
      const found = offered.find((each) => each.door === door && each.tls === tls);
      return found === undefined ? [] : [{ port: found.port, tls }];
    });
  return {
    host: clientSetup.host ?? hostname,
    imap: servicesOf('imap'),
    pop3: servicesOf('pop3'),
    smtp: servicesOf('smtp'),
  };
}
