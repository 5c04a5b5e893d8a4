import { isIP, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { isLoopback } from '../config/loopback.ts';

/**
 * Where this gateway itself listens for mail programs. A backend found there would log in at the gateway again, and that
 * again, for as long as there are sockets (wire 72).
 */
export class OwnEndpoints {
  readonly #hosts = new Map<number, Set<string>>();

  /** `host` as it was bound; `::` and `0.0.0.0` stand for every address of this machine. */
  add(host: string, port: number): void {
    const hosts = this.#hosts.get(port) ?? new Set();
    this.#hosts.set(port, hosts.add(plain(host)));
  }

  /** Whether the other end of a connected socket is one of them. */
  isPeerOf(socket: Socket): boolean {
    const { remoteAddress, remotePort, localAddress } = socket;
    const hosts = this.#hosts.get(remotePort ?? 0);
    if (hosts === undefined || remoteAddress === undefined) return false;
    const peer = plain(remoteAddress);
    const isHere = peer === plain(localAddress ?? '') || isLoopback(peer) || isOfThisMachine(peer);
    return (
      isHere &&
      [...hosts].some((host) => host === peer || host === '::' || host === '0.0.0.0' || names(host, peer))
    );
  }
}

/** A name was bound, and nothing says which address it had: `localhost` does not leave the machine. */
function names(host: string, peer: string): boolean {
  return isIP(host) === 0 && (isLoopback(host) ? isLoopback(peer) : true);
}

function isOfThisMachine(address: string): boolean {
  return Object.values(networkInterfaces()).some((addresses) =>
    addresses?.some((own) => plain(own.address) === address),
  );
}

/** Without the zone, and an IPv4-mapped address as the IPv4 address it is. */
function plain(address: string): string {
  return address.replace(/^::ffff:/i, '').replace(/%.*$/, '');
}
