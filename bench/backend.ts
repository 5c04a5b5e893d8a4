import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../src/demo/free-port.ts';
import { Server } from './processes.ts';

/** The stub behind the gateway and all peers: in clear, on loopback, lets everybody in. */
export interface Backend {
  readonly imap: number;
  readonly smtp: number;
  readonly master: { readonly user: string; readonly password: string };
}

export async function startBackend(folder: string, program: string): Promise<Backend> {
  const ports = { imap: await freePort(), smtp: await freePort() };
  const server = new Server('stub', 'load', [program, String(ports.imap), String(ports.smtp)], {
    logFile: join(folder, 'stub.log'),
  });
  await delay(200);
  if (server.hasEnded) throw new Error(`the backend did not start: ${server.logTail()}`);
  return { ...ports, master: { user: 'gateway', password: 'master-password' } };
}
