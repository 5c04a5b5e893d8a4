import type { ThrowAwayCertificates } from '../../src/demo/certificates.ts';
import type { Backend } from '../backend.ts';
import type { Credentials } from '../credentials.ts';
import type { Generator } from '../generator.ts';
import type { Server } from '../processes.ts';

/** What every target is built from. */
export interface Bed {
  /** An empty folder for this target alone. */
  readonly folder: string;
  readonly certificates: ThrowAwayCertificates;
  readonly backend: Backend;
  readonly generator: Generator;
  /** Users beyond the hot ones. */
  readonly coldUsers: number;
}

/** Something that clients log in to. It runs until {@link Target.stop}. */
export interface Target {
  readonly name: string;
  /** Implicit TLS on 127.0.0.1. */
  readonly imaps: number;
  readonly smtps: number;
  readonly credentials: Credentials;
  /** Connections at once that keep it busy; a target that waits on each of them needs more. */
  readonly atOnce: number;
  /** The same for refused logins. */
  readonly atOnceRefused: number;
  /** After one login the cold credentials are cold no more. */
  readonly hasCache: boolean;
  /** Copies bytes slowly enough that a run needs fewer of them. */
  readonly isSlowCopier: boolean;
  /** What is accounted. */
  readonly servers: readonly Server[];
  /** Servers that work for it on the other core, accounted apart. */
  readonly beside: readonly Server[];
  /** Page of Prometheus metrics; null where it has none. */
  readonly metricsUrl: string | null;
  /** A fresh process that has seen the hot credentials and nothing else. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

const startMs = 20_000;

/** Waits until one login goes through. Throws when the server ends before that. */
export async function untilUp(
  generator: Generator,
  server: Server,
  place: { readonly imaps: number; readonly credentials: Credentials },
): Promise<void> {
  const deadline = Date.now() + startMs;
  for (;;) {
    const login = { kind: 'login', port: place.imaps, credentials: place.credentials.hot, total: 1 } as const;
    const result = await generator.run(login);
    if (result.logins === 1 && result.errors === 0) return;
    if (server.hasEnded || Date.now() > deadline) {
      throw new Error(`${server.name} does not answer: ${result.firstError}; its log: ${server.logTail()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
