import { backendContext } from '../../src/config/backend-tls.ts';
import type { Backend } from '../../src/config/schema.ts';
import type { VerifiedLogin } from '../../src/credentials/verifier.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { createMetrics, type Metrics } from '../../src/observability/metrics.ts';
import type { ForwardedPeer } from '../../src/protocol/forwarded-peer.ts';
import { Secret } from '../../src/secret.ts';
import type { Leg } from '../../src/upstream/leg.ts';
import type { Opening, UpstreamLink } from '../../src/upstream/opening.ts';
import { OwnEndpoints } from '../../src/upstream/own-endpoints.ts';
import { Route, type RouteContext } from '../../src/upstream/route.ts';
import { UpstreamError } from '../../src/upstream/upstream-error.ts';
import type { Upstream } from '../../src/upstream/upstreams.ts';
import { openBed } from '../credentials/bed.ts';

export const masterPassword = 'the-master-password';
/** What a backend would read of a login: authzid, authcid and password of the order in SASL PLAIN. */
export const credentialBytes = Buffer.from(`alice@example.com\0gateway\0${masterPassword}`).toString(
  'base64',
);

export const peer: ForwardedPeer = {
  address: '203.0.113.7',
  port: 51_234,
  localAddress: '198.51.100.1',
  localPort: 993,
  sessionId: 'k3',
  helo: null,
};

export interface UpstreamOptions {
  readonly port: number;
  readonly host?: string;
  readonly tls?: 'implicit' | 'starttls' | 'none';
  readonly serverName?: string;
  readonly ca?: Buffer | null;
  readonly imapId?: boolean;
  readonly proxyProtocol?: 'none' | 'v2';
  /** Gives the upstream its routes. */
  readonly context?: RouteContext;
}

/** One backend whose three legs are one server. */
export function upstreamOf(options: UpstreamOptions): Upstream {
  const host = options.host ?? '127.0.0.1';
  const tls = options.tls ?? 'none';
  const endpoint = {
    host,
    port: options.port,
    tls,
    caFile: null,
    serverName: options.serverName ?? host,
  };
  const backend: Backend = {
    name: 'office',
    imap: endpoint,
    smtp: endpoint,
    pop3: endpoint,
    login: { method: 'master', user: 'gateway' },
    forward: {
      imapId: options.imapId ?? false,
      xclient: false,
      proxyProtocol: options.proxyProtocol ?? 'none',
    },
    denyUsers: [],
  };
  const context = tls === 'none' ? null : backendContext(options.ca ?? null);
  const routes: Partial<Record<Leg, Route>> = {};
  if (options.context !== undefined) {
    for (const leg of ['imap', 'smtp', 'pop3'] as const)
      routes[leg] = new Route('office', leg, host, options.context);
  }
  return {
    backend,
    password: Secret.fromText(masterPassword),
    imapTls: context,
    smtpTls: context,
    pop3Tls: context,
    routes,
  };
}

/** A context with a clock that the test moves, and what it logged. */
export function routeContext(overrides: Partial<RouteContext> = {}) {
  const log: Record<string, unknown>[] = [];
  const metrics: Metrics = createMetrics();
  const clock = { now: 0 };
  const context: RouteContext = {
    now: () => clock.now,
    logger: createLogger('debug', { write: (line: string) => void log.push(JSON.parse(line)) }),
    metrics,
    own: new OwnEndpoints(),
    retryWaitsMs: [1, 1],
    ...overrides,
  };
  return { context, log, metrics, clock };
}

/** alice, verified for real. `close` when she is no longer needed. */
export async function verifiedAlice(): Promise<{ readonly login: VerifiedLogin; close(): Promise<void> }> {
  const bed = await openBed();
  const { password } = await bed.issue(await bed.account('alice@example.com'));
  const verdict = await bed.login('alice', password, { protocol: 'imap' });
  if (verdict.kind !== 'verified') throw new Error(verdict.kind);
  return { login: verdict.login, close: () => bed.close() };
}

/** How an opening went: its kind, or `kind` and text of the UpstreamError. */
export async function outcomeOf(opening: Promise<Opening<UpstreamLink>>): Promise<string> {
  try {
    const result = await opening;
    if (result.kind === 'open') result.link.cut();
    return result.kind;
  } catch (error) {
    if (error instanceof UpstreamError) return `${error.kind}: ${error.message}`;
    throw error;
  }
}
