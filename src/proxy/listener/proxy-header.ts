import type { Socket } from 'node:net';
import type { ProxyHeader } from '../../protocol/proxy-header/header.ts';
import { readProxyHeader } from '../../protocol/proxy-header/read.ts';

/** A load balancer sends it at once; Dovecot waits as long. */
const headerTimeMs = 3_000;

/**
 * Reads the PROXY header off a socket that nobody has read from, and leaves what follows it in the socket. `done` hears
 * null, once, where the header is wrong, late or missing; the socket is then still to be destroyed.
 */
export function receiveProxyHeader(socket: Socket, done: (header: ProxyHeader | null) => void): void {
  let received: Buffer = Buffer.alloc(0);
  const timer = setTimeout(() => finish(null), headerTimeMs);
  const finish = (header: ProxyHeader | null) => {
    clearTimeout(timer);
    socket.off('readable', onReadable).off('close', onClose);
    done(header);
  };
  const onClose = () => finish(null);
  const onReadable = () => {
    const bytes: Buffer | null = socket.read();
    if (bytes === null) return;
    received = received.length === 0 ? bytes : Buffer.concat([received, bytes]);
    const reading = readProxyHeader(received);
    if (reading.kind === 'incomplete') return;
    if (reading.kind === 'malformed') {
      finish(null);
      return;
    }
    if (reading.length < received.length) socket.unshift(received.subarray(reading.length));
    finish(reading.header);
  };
  socket.on('readable', onReadable).on('close', onClose);
}
