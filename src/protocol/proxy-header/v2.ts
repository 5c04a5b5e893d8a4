import { addressBytes, addressText, type Endpoint, mappedPrefix } from './address.ts';
import { type HeaderReading, incomplete, malformed, type ProxyHeader } from './header.ts';

/** proxy-protocol.txt 2.2. */
export const signature = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
const fixedBytes = 16;
const versionAndLocal = 0x20;
const versionAndProxy = 0x21;
const unspecified = 0x00;
const tcpOverIpv4 = 0x11;
const tcpOverIpv6 = 0x21;
/**
 * The length field could announce 64 KB. The document sizes headers for one segment of 536 bytes; what HAProxy and cloud
 * balancers append (server name, connection id, client certificate's name) may pass that, and never this.
 */
const maxBytes = 2_048;
/** A type's byte and two of length, before each appended value. */
const valueHeaderBytes = 3;

/** Reads the header at the beginning of `received`, which begins like {@link signature} as far as it goes. */
export function readProxyHeaderV2(received: Buffer): HeaderReading {
  if (received.length < fixedBytes) return incomplete;
  const command = received[12];
  const family = received[13] ?? 0;
  const length = fixedBytes + received.readUInt16BE(14);
  if (command !== versionAndLocal && command !== versionAndProxy) return malformed;
  const addressWidth = family === tcpOverIpv4 ? 4 : 16;
  if (command === versionAndProxy) {
    if (family !== unspecified && family !== tcpOverIpv4 && family !== tcpOverIpv6) return malformed;
    if (family !== unspecified && length < fixedBytes + 2 * addressWidth + 4) return malformed;
  }
  if (length > maxBytes) return malformed;
  if (received.length < length) return incomplete;
  if (command === versionAndLocal || family === unspecified) {
    return { kind: 'header', header: { kind: 'local' }, length };
  }
  const block = received.subarray(fixedBytes, length);
  if (!hasWholeValues(block.subarray(2 * addressWidth + 4))) return malformed;
  return { kind: 'header', header: proxied(block, addressWidth), length };
}

function proxied(block: Buffer, addressWidth: number): ProxyHeader {
  const ports = 2 * addressWidth;
  return {
    kind: 'proxied',
    source: { address: addressText(block.subarray(0, addressWidth)), port: block.readUInt16BE(ports) },
    destination: {
      address: addressText(block.subarray(addressWidth, ports)),
      port: block.readUInt16BE(ports + 2),
    },
  };
}

/** Whether the appended values end where the header does; what they say is nobody's concern here. */
function hasWholeValues(values: Buffer): boolean {
  let at = 0;
  while (at + valueHeaderBytes <= values.length) at += valueHeaderBytes + values.readUInt16BE(at + 1);
  return at === values.length;
}

/**
 * The header that tells a backend whose connection this is. Endpoints of different families are both written as IPv6;
 * where an address is unreadable the header says no more than that the connection is proxied.
 */
export function encodeProxyHeaderV2(source: Endpoint, destination: Endpoint): Buffer {
  const from = addressBytes(withoutZone(source.address));
  const to = addressBytes(withoutZone(destination.address));
  if (from === null || to === null) return header(unspecified, []);
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(source.port, 0);
  ports.writeUInt16BE(destination.port, 2);
  if (from.length === 4 && to.length === 4) return header(tcpOverIpv4, [from, to, ports]);
  return header(tcpOverIpv6, [asIpv6(from), asIpv6(to), ports]);
}

function header(family: number, block: readonly Buffer[]): Buffer {
  const length = block.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([
    signature,
    Buffer.from([versionAndProxy, family, length >> 8, length & 0xff]),
    ...block,
  ]);
}

function asIpv6(bytes: Buffer): Buffer {
  return bytes.length === 4 ? Buffer.concat([mappedPrefix, bytes]) : bytes;
}

/** Link-local addresses carry the name of a network card. */
function withoutZone(address: string): string {
  const zone = address.indexOf('%');
  return zone === -1 ? address : address.slice(0, zone);
}
