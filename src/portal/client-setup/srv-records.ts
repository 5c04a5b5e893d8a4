import type { MailService, MailSettings } from './mail-settings.ts';

/** A DNS record that helps mail programs to find us. Names without the final dot; an SRV target of `.` withdraws a service. */
export type SetupRecord =
  | { readonly type: 'CNAME'; readonly name: string; readonly target: string }
  | {
      readonly type: 'SRV';
      readonly name: string;
      readonly priority: number;
      readonly weight: number;
      readonly port: number;
      readonly target: string;
    };

/** RFC 6186, with `_submissions` of RFC 8314 5.1. Lower numbers first: IMAP before POP3, implicit TLS before STARTTLS. */
const services = [
  { service: '_imaps', protocol: 'imap', tls: 'implicit', priority: 0 },
  { service: '_imap', protocol: 'imap', tls: 'starttls', priority: 5 },
  { service: '_pop3s', protocol: 'pop3', tls: 'implicit', priority: 10 },
  { service: '_pop3', protocol: 'pop3', tls: 'starttls', priority: 15 },
  { service: '_submissions', protocol: 'smtp', tls: 'implicit', priority: 0 },
  { service: '_submission', protocol: 'smtp', tls: 'starttls', priority: 5 },
] as const;

/** The zone lines of one domain. */
export function setupRecords(
  domain: string,
  settings: MailSettings,
  portal: { readonly hostname: string; readonly isOn443: boolean },
): readonly SetupRecord[] {
  const found = services.map(({ service, protocol, tls, priority }): SetupRecord => {
    const offered: MailService | undefined = settings[protocol].find((each) => each.tls === tls);
    const name = `${service}._tcp.${domain}`;
    return offered === undefined
      ? { type: 'SRV', name, priority: 0, weight: 0, port: 0, target: '.' }
      : { type: 'SRV', name, priority, weight: 1, port: offered.port, target: settings.host };
  });
  const target = portal.hostname;
  return [
    { type: 'CNAME', name: `autoconfig.${domain}`, target },
    { type: 'CNAME', name: `autodiscover.${domain}`, target },
    // Outlook takes no other port from it.
    ...(portal.isOn443
      ? [
          {
            type: 'SRV',
            name: `_autodiscover._tcp.${domain}`,
            priority: 0,
            weight: 1,
            port: 443,
            target,
          } as const,
        ]
      : []),
    ...found,
  ];
}

/** As it stands in a zone file. */
export function zoneLine(record: SetupRecord): string {
  const target = record.target === '.' ? '.' : `${record.target}.`;
  return record.type === 'CNAME'
    ? `${record.name}. CNAME ${target}`
    : `${record.name}. SRV ${record.priority} ${record.weight} ${record.port} ${target}`;
}
