import { addressBytes, addressText, type Endpoint } from './address.ts';
import { type HeaderReading, incomplete, malformed } from './header.ts';

/** The longest line there can be, CRLF included (proxy-protocol.txt 2.1). */
const maxBytes = 107;

/** Reads the line at the beginning of `received`, which begins like `PROXY ` as far as it goes. */
export function readProxyHeaderV1(received: Buffer): HeaderReading {
  const end = received.subarray(0, maxBytes).indexOf('\n');
  if (end === -1) return received.length < maxBytes ? incomplete : malformed;
  const line = received.toString('latin1', 0, end + 1);
  if (!line.endsWith('\r\n') || line.indexOf('\r') !== end - 1) return malformed;
  const [, protocol, ...fields] = line.slice(0, -2).split(' ');
  const length = end + 1;
  // Whatever follows is to be ignored.
  if (protocol === 'UNKNOWN') return { kind: 'header', header: { kind: 'local' }, length };
  const width = protocol === 'TCP4' ? 4 : protocol === 'TCP6' ? 16 : null;
  const [sourceAddress = '', destinationAddress = '', sourcePort = '', destinationPort = ''] = fields;
  if (width === null || fields.length !== 4) return malformed;
  const source = endpoint(sourceAddress, sourcePort, width);
  const destination = endpoint(destinationAddress, destinationPort, width);
  if (source === null || destination === null) return malformed;
  return { kind: 'header', header: { kind: 'proxied', source, destination }, length };
}

function endpoint(address: string, port: string, width: 4 | 16): Endpoint | null {
  const bytes = addressBytes(address);
  if (bytes?.length !== width || !/^(?:0|[1-9]\d{0,4})$/.test(port) || Number(port) > 65_535) return null;
  return { address: addressText(bytes), port: Number(port) };
}
