import { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { KyselyPlugin, PluginTransformQueryArgs, PluginTransformResultArgs } from 'kysely';
import type { Backend } from '../../src/config/schema.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { createAuthReplies } from '../../src/proxy/auth-reply.ts';
import type { DoorParts } from '../../src/proxy/door/door.ts';
import { logIn } from '../../src/proxy/login.ts';
import { SessionRegistry } from '../../src/proxy/session-registry.ts';
import { Secret } from '../../src/secret.ts';
import { type Bed, openBed } from '../credentials/bed.ts';
import { tester } from '../support/journal.ts';

// A login is a row of awaits. At each of them its app password is revoked by another process, and this one hears of it.

const endpoint = { host: '127.0.0.1', port: 1, tls: 'none', caFile: null, serverName: '127.0.0.1' } as const;
const backend: Backend = {
  name: 'office',
  imap: endpoint,
  smtp: endpoint,
  pop3: null,
  login: { method: 'master', user: 'gateway' },
  forward: { imapId: false, xclient: false, proxyProtocol: 'none' },
  denyUsers: [],
};

/** Does something at one answer of the store. */
class Interruption implements KyselyPlugin {
  answers = 0;
  #at = -1;
  #work: () => Promise<unknown> = async () => undefined;

  at(answer: number, work: () => Promise<unknown>): void {
    this.answers = 0;
    this.#at = answer;
    this.#work = work;
  }

  transformQuery({ node }: PluginTransformQueryArgs): PluginTransformQueryArgs['node'] {
    return node;
  }

  async transformResult({ result }: PluginTransformResultArgs): Promise<PluginTransformResultArgs['result']> {
    const index = this.answers;
    this.answers += 1;
    if (index === this.#at) await this.#work();
    return result;
  }
}

const beds: Bed[] = [];
afterEach(async () => {
  for (const each of beds.splice(0)) await each.close();
});

async function site() {
  const interruption = new Interruption();
  const bed = await openBed({ plugin: interruption });
  const elsewhere = await openBed({ file: bed.file, clock: bed.clock });
  beds.push(bed, elsewhere);
  const joe = await bed.account('joe@example.com');
  const { id, password } = await bed.issue(joe);
  const registry = new SessionRegistry(bed.config.limits);
  bed.revocations.onRevoked(({ credentialId, accountId, reason }) => {
    if (credentialId === null) registry.endAccount(accountId, reason);
    else registry.endCredential(credentialId, reason);
  });
  const parts: DoorParts = {
    config: bed.config,
    verifier: bed.verifier,
    upstreams: new Map([
      ['office', { backend, password: Secret.fromText('x'), imapTls: null, smtpTls: null, pop3Tls: null }],
    ]),
    registry,
    loginLog: null,
    replies: createAuthReplies({ portalUrl: 'https://mail.example.com', now: bed.clock.now }),
    metrics: bed.metrics,
    now: bed.clock.now,
  };
  const revoke = async () => {
    await elsewhere.appPasswords.revoke(joe.id, id, 'lost', tester);
    await bed.revocations.poll();
  };
  let cuts = 0;
  let ends = 0;
  let logins = 0;
  const link = { cut: () => cuts++ };
  const attempt = async (during: 'nothing' | 'before' | 'after' = 'nothing') => {
    const gone = new AbortController();
    return await logIn(
      parts,
      {
        protocol: 'imap',
        connection: {
          socket: new TLSSocket(new Socket()),
          security: 'tls',
          secure: async () => null,
          loggedIn: () => undefined,
          peer: {
            address: '127.0.0.1',
            port: 1,
            network: '127.0.0.1/32',
            localAddress: '127.0.0.1',
            localPort: 1,
          },
          sessionId: `k${++logins}`,
          logger: createLogger('silent'),
        },
        credentials: {
          authzid: Buffer.alloc(0),
          authcid: Buffer.from('joe@example.com'),
          password: Secret.fromText(password.replaceAll(' ', '')),
        },
        mechanism: 'PLAIN',
        client: null,
        gone: gone.signal,
        open: async () => {
          if (during === 'before') await revoke();
          await new Promise(setImmediate);
          if (during === 'after') await revoke();
          return { kind: 'open' as const, link };
        },
        end: () => {
          ends += 1;
        },
      },
      (result) => (result.kind === 'refused' ? result.refusal.imap.code : result.kind),
    );
  };
  return { bed, registry, interruption, revoke, attempt, cuts: () => cuts, ends: () => ends };
}

describe('S-54: revoked at each await between the credentials and the splice', () => {
  it('of the verifier: no session, and where there is one it ends', async () => {
    const outcomes: string[] = [];
    for (let answer = 0; ; answer += 1) {
      const { registry, interruption, revoke, attempt, ends } = await site();
      interruption.at(answer, revoke);
      const outcome = await attempt();
      const wasReached = interruption.answers > answer;
      outcomes.push(
        `${outcome} ${registry.sessions().filter(({ endedBecause }) => endedBecause === null).length}`,
      );
      if (wasReached) expect([outcome, ends()]).toEqual(['AUTHENTICATIONFAILED', 0]);
      else break;
    }
    // Each answer of the store but the last round, which nothing interrupted.
    expect(outcomes.length).toBeGreaterThanOrEqual(3);
    expect(outcomes.slice(0, -1)).toEqual(outcomes.slice(0, -1).map(() => 'AUTHENTICATIONFAILED 0'));
    expect(outcomes.at(-1)).toBe('logged-in 1');
  });

  it.each(['before', 'after'] as const)(
    'of the backend, %s it opens: no session, its link is cut',
    async (during) => {
      const { registry, attempt, cuts } = await site();
      expect(await attempt(during)).toBe('AUTHENTICATIONFAILED');
      expect([cuts(), registry.size]).toEqual([1, 0]);
    },
  );

  it('from a cached proof as well', async () => {
    const { registry, attempt, cuts } = await site();
    expect(await attempt()).toBe('logged-in');
    expect(await attempt('after')).toBe('AUTHENTICATIONFAILED');
    expect(cuts()).toBe(1);
    // The first one's session was open by then, and was told to end.
    expect(registry.sessions().map(({ endedBecause }) => endedBecause)).toEqual(['lost']);
  });

  it('after the answer: the session is told to end', async () => {
    const { revoke, attempt, ends } = await site();
    expect(await attempt()).toBe('logged-in');
    await revoke();
    expect(ends()).toBe(1);
  });
});
