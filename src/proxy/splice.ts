import type { Socket } from 'node:net';
import { assertVerified, type VerifiedLogin } from '../credentials/verifier.ts';

export interface SpliceOptions {
  /** Read from the client before the splice, in order; goes to the backend first (wire 56). */
  readonly fromClient: Buffer;
  /** Read from the backend before the splice; goes to the client first (wire 59). */
  readonly fromUpstream: Buffer;
  /** Without a byte either way; 0 for no limit. */
  readonly idleTimeMs: number;
}

export interface SpliceResult {
  /** Client to backend. */
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly ended: 'client' | 'upstream' | 'idle' | 'reset';
}

/**
 * Copies bytes both ways until both sides are done: no parser, no encoding (wire 61). A full sink stops its source
 * (wire 64), a FIN is passed on and the other direction finishes first (wire 65), a reset ends both. Both sockets must allow
 * half-open and be paused. Resolves once both are closed; never rejects. Demands a login that the verifier made.
 */
export async function splice(
  login: VerifiedLogin,
  client: Socket,
  upstream: Socket,
  options: SpliceOptions,
): Promise<SpliceResult> {
  assertVerified(login);
  let ended: SpliceResult['ended'] | null = null;
  const counts = { up: options.fromClient.length, down: options.fromUpstream.length };

  const closed = Promise.all([
    closing(client, upstream, () => {
      ended ??= 'reset';
    }),
    closing(upstream, client, () => {
      ended ??= 'reset';
    }),
  ]);

  copy(client, upstream, (length) => {
    counts.up += length;
  });
  copy(upstream, client, (length) => {
    counts.down += length;
  });
  client.once('end', () => {
    ended ??= 'client';
  });
  upstream.once('end', () => {
    ended ??= 'upstream';
  });
  // Every byte passes the client's socket, so its timer alone sees both directions.
  client.setTimeout(options.idleTimeMs, () => {
    ended ??= 'idle';
    client.destroy();
    upstream.destroy();
  });

  if (options.fromUpstream.length > 0) client.write(options.fromUpstream);
  if (options.fromClient.length > 0) upstream.write(options.fromClient);
  client.resume();
  upstream.resume();

  await closed;
  return { bytesUp: counts.up, bytesDown: counts.down, ended: ended ?? 'reset' };
}

function copy(source: Socket, sink: Socket, count: (length: number) => void): void {
  source.on('data', (chunk: Buffer) => {
    count(chunk.length);
    if (!sink.write(chunk)) source.pause();
  });
  sink.on('drain', () => source.resume());
  source.once('end', () => sink.end());
}

/** Resolves when `socket` is closed, and takes `other` with it after what it still has to say. */
function closing(socket: Socket, other: Socket, onReset: () => void): Promise<void> {
  return new Promise((resolve) => {
    const finish = () => {
      other.destroySoon();
      resolve();
    };
    if (socket.closed) {
      finish();
      return;
    }
    // The peer is gone at any point of any write: no fault of ours (wire 155).
    socket.on('error', onReset);
    socket.once('close', (hadError) => {
      if (hadError) other.destroy();
      finish();
    });
  });
}
