import { isIPv4 } from 'node:net';
import type { Findings } from './read-certificates.ts';
import type { Config } from './schema.ts';

/** What is wrong or doubtful about the ports, beyond what the schema sees in one value. */
export function checkListeners(config: Config, { problems, warnings }: Findings): void {
  const used: { readonly place: string; readonly host: string; readonly port: number }[] = [];
  for (const [place, { host, port }] of listenersOf(config)) {
    if (port === 0) continue;
    const earlier = used.find((other) => other.port === port && overlap(other.host, host));
    if (earlier !== undefined) problems.push(`${place}: port ${port} is taken by ${earlier.place}`);
    used.push({ place, host, port });
  }
  for (const [index, listen] of config.listen.entries()) {
    const place = `listen.${index}`;
    for (const network of listen.proxyProtocolFrom) {
      // S-06: everybody in there may say to be anybody.
      if (isWide(network)) {
        warnings.push(
          `${place}.proxy_protocol_from: every host of ${network} may name any client address; list the load balancers`,
        );
      }
    }
    if (listen.legacyTls) {
      warnings.push(
        `${place}.legacy_tls: port ${listen.port} speaks TLS 1.0 with old ciphers, which a network attacker may break`,
      );
    }
    const { door } = listen;
    if (
      listen.tls === 'starttls' &&
      !config.listen.some((other) => other.door === door && other.tls === 'implicit')
    ) {
      warnings.push(
        `${place}.tls: starttls begins in clear, where a network attacker may speak first; offer an implicit TLS port for ${door} too (RFC 8314)`,
      );
    }
  }
}

function listenersOf(config: Config): [string, { readonly host: string; readonly port: number }][] {
  const all: [string, { host: string; port: number }][] = config.listen.map((listen, index) => [
    `listen.${index}`,
    listen,
  ]);
  all.push(['portal', config.portal]);
  if (config.metrics !== null) all.push(['metrics', config.metrics]);
  return all;
}

/** Whether the system refuses the second of two hosts on one port. `::` takes IPv4 as well. */
function overlap(one: string, other: string): boolean {
  if (one === other || one === '::' || other === '::') return true;
  return (one === '0.0.0.0' && isIPv4(other)) || (other === '0.0.0.0' && isIPv4(one));
}

/** Wider than a /24 of IPv4 or a /64 of IPv6. */
function isWide(network: string): boolean {
  const [address = '', bits] = network.split('/');
  return bits !== undefined && Number(bits) < (isIPv4(address) ? 24 : 64);
}
