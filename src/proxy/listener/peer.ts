import type { Socket } from 'node:net';
import { networkOf } from '../../credentials/network.ts';
import type { ProxyHeader } from '../../protocol/proxy-header/header.ts';
import type { Peer } from '../door/door.ts';

/** null: gone before it could be asked. */
export function peerOf(socket: Socket): Peer | null {
  const { remoteAddress, remotePort, localAddress, localPort } = socket;
  if (remoteAddress === undefined || remotePort === undefined) return null;
  return {
    address: remoteAddress.replace(/^::ffff:/, ''),
    port: remotePort,
    network: networkOf(remoteAddress),
    localAddress: (localAddress ?? '').replace(/^::ffff:/, ''),
    localPort: localPort ?? 0,
  };
}

/** The client behind a load balancer, which itself is `balancer`. */
export function peerBehind(balancer: Peer, header: ProxyHeader): Peer {
  switch (header.kind) {
    case 'local':
      return balancer;
    case 'proxied':
      return {
        address: header.source.address,
        port: header.source.port,
        network: networkOf(header.source.address),
        localAddress: header.destination.address,
        localPort: header.destination.port,
      };
    default:
      return header satisfies never;
  }
}
