import { isIPv4, isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** What limits count by where the address cannot be read: everybody there shares one count. */
const unreadable = 'unknown';

/** The /32 of an IPv4, the /64 of an IPv6 address; IPv4-mapped IPv6 counts as IPv4. Never throws. */
export function networkOf(address: string): string {
  return prefixOf(address, 32, 64);
}

/** The /24 or /48 around it, where limits count eightfold (requirements 4.3). */
export function widerNetworkOf(address: string): string {
  return prefixOf(address, 24, 48);
}

/**
 * The one spelling of a CIDR or single address: host bits cleared, IPv4-mapped IPv6 unwrapped, RFC 5952. null: neither.
 * Octal, hexadecimal and short IPv4 forms are refused, because programs disagree on what they mean.
 */
export function canonicalCidr(text: string): string | null {
  const slash = text.indexOf('/');
  const address = parse(slash === -1 ? text : text.slice(0, slash));
  if (address === null) return null;
  if (slash === -1) return print(address, address.kind() === 'ipv4' ? 32 : 128);
  const digits = text.slice(slash + 1);
  if (!/^(?:0|[1-9]\d{0,2})$/.test(digits)) return null;
  // A prefix of a mapped address counts the 96 bits before the IPv4 part.
  const bits = Number(digits) - (isMapped(text.slice(0, slash)) ? 96 : 0);
  if (bits < 0 || bits > (address.kind() === 'ipv4' ? 32 : 128)) return null;
  return print(address, bits);
}

/** The canonical CIDRs of a row or cached record. */
export function splitNetworks(networks: string): readonly string[] {
  return networks === '' ? [] : networks.split(',');
}

/** Whether an address is in one of the canonical CIDRs; an empty list allows every address. */
export function isAllowed(address: string, canonicalCidrs: readonly string[]): boolean {
  if (canonicalCidrs.length === 0) return true;
  const peer = parse(address);
  if (peer === null) return false;
  return canonicalCidrs.some((cidr) => {
    const [network, bits] = ipaddr.parseCIDR(cidr);
    return network.kind() === peer.kind() && peer.match(network, bits);
  });
}

function prefixOf(address: string, ipv4Bits: number, ipv6Bits: number): string {
  const parsed = parse(address);
  if (parsed === null) return unreadable;
  return print(parsed, parsed.kind() === 'ipv4' ? ipv4Bits : ipv6Bits);
}

/** Node judges the spelling, because ipaddr.js also reads octal, hexadecimal and short forms. */
function parse(text: string): Address | null {
  const zone = text.indexOf('%');
  const plain = zone === -1 ? text : text.slice(0, zone);
  if (isIPv4(plain)) return ipaddr.IPv4.parse(plain);
  if (!isIPv6(plain)) return null;
  const address = ipaddr.IPv6.parse(plain);
  return address.isIPv4MappedAddress() ? address.toIPv4Address() : address;
}

function isMapped(text: string): boolean {
  return isIPv6(text) && ipaddr.IPv6.parse(text).isIPv4MappedAddress();
}

function print(address: Address, bits: number): string {
  const bytes = address.toByteArray().map((byte, index) => byte & mask(bits - index * 8));
  const network = ipaddr.fromByteArray(bytes);
  const name = network instanceof ipaddr.IPv6 ? network.toRFC5952String() : network.toString();
  return `${name}/${bits}`;
}

function mask(bits: number): number {
  if (bits >= 8) return 0xff;
  return bits <= 0 ? 0 : (0xff << (8 - bits)) & 0xff;
}
