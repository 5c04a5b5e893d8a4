import { domainToASCII } from 'node:url';

/**
 * The configured domain that an address or a domain name of a client means, as the configuration spells it; null for every
 * other text. After the last `@`; letters of other scripts become the `xn--` form.
 */
export function configuredDomain(text: string, domains: Readonly<Record<string, unknown>>): string | null {
  // Longer than a name can be, so nothing is spent on it.
  if (text.length > 512) return null;
  const domain = domainToASCII(text.slice(text.lastIndexOf('@') + 1).trim());
  return domain !== '' && Object.hasOwn(domains, domain) ? domain : null;
}

const hostHeader = /^(?:(autoconfig|autodiscover)\.)?([a-z0-9.-]{1,253})(?::\d{1,5})?$/;

/**
 * What a Host header names, or null for a host that these documents are not served under: a configured domain, `autoconfig.`
 * or `autodiscover.` before one, or one of our own hosts, which stands for no domain. Never echoed (S-62).
 */
export function askedHost(
  host: string | undefined,
  domains: Readonly<Record<string, unknown>>,
  ownHosts: readonly string[],
): { readonly domain: string | null } | null {
  const match = hostHeader.exec((host ?? '').toLowerCase());
  if (match === null) return null;
  const [, prefix, name = ''] = match;
  if (Object.hasOwn(domains, name)) return { domain: name };
  // Programs that know the MX of a domain only ask `autoconfig.` before what is left of the MX's name.
  const isOwn = ownHosts.some((own) => own === name || (prefix !== undefined && own.endsWith(`.${name}`)));
  return isOwn ? { domain: null } : null;
}
