import { isIP } from 'node:net';

/** Whether what is sent to `host`, a name or an address, bare or in brackets, stays on this machine. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, '');
  return bare === 'localhost' || bare === '::1' || (isIP(bare) === 4 && bare.startsWith('127.'));
}
