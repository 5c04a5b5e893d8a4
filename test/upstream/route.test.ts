import { describe, expect, it } from '@jest/globals';
import type { VerifiedLogin } from '../../src/credentials/verifier.ts';
import { openImap } from '../../src/upstream/imap.ts';
import type { Opening, UpstreamLink } from '../../src/upstream/opening.ts';
import { Route } from '../../src/upstream/route.ts';
import { UpstreamError, type UpstreamErrorKind } from '../../src/upstream/upstream-error.ts';
import { until } from '../support/until.ts';
import { outcomeOf, peer, routeContext, upstreamOf, verifiedAlice } from './bed.ts';
import { logsIn, ScriptedBackend } from './scripted-backend.ts';

const opened: Opening<UpstreamLink> = { kind: 'open', link: { cut: () => {} } };
const never = new AbortController().signal;

/** A route whose attempts fail so, the last entry for ever; `null` opens. */
function routeThat(fails: readonly (UpstreamError | Error | null)[], overrides = {}) {
  const bed = routeContext(overrides);
  const route = new Route('office', 'imap', '127.0.0.1', bed.context);
  const script = [...fails];
  let attempts = 0;
  const attempt = async () => {
    attempts += 1;
    const failure = script.length > 1 ? script.shift() : script[0];
    if (failure != null) throw failure;
    return opened;
  };
  return {
    ...bed,
    route,
    open: async (account = 'a', signal: AbortSignal = never) =>
      await outcomeOf(route.open(account, signal, attempt)),
    attempts: () => attempts,
  };
}

const failed = (kind: UpstreamErrorKind, afterGreeting = false) =>
  new UpstreamError('office', kind, 'no', { afterGreeting });

describe('wire 47: a backend that was not there is tried again before the client hears of it', () => {
  it.each(['connect', 'greeting', 'closed'] as const)('%s', async (kind) => {
    const bed = routeThat([failed(kind), null]);
    expect([await bed.open(), bed.attempts()]).toEqual(['open', 2]);
  });

  it('up to the third time', async () => {
    const bed = routeThat([failed('connect')]);
    expect([await bed.open(), bed.attempts()]).toEqual(['connect: no', 3]);
  });

  it.each([
    ['our own credential is refused', failed('refused-us')],
    ['its certificate is wrong', failed('tls')],
    ['it took its time', failed('timeout')],
    ['it broke off in the middle of the login', failed('closed', true)],
    ['it said something strange', failed('protocol')],
    ['it is the gateway', failed('loop')],
  ])('not where %s', async (_, error) => {
    const bed = routeThat([error]);
    expect([await bed.open(), bed.attempts()]).toEqual([`${error.kind}: no`, 1]);
  });

  it('not after a fault of ours', async () => {
    const bed = routeThat([new Error('a bug')]);
    await expect(bed.open()).rejects.toThrow('a bug');
    expect(bed.attempts()).toBe(1);
  });

  it('not once the client is gone, nor while it would wait', async () => {
    const gone = routeThat([failed('connect')]);
    expect(await gone.open('a', AbortSignal.abort())).toBe('closed: given up by the caller');
    expect(gone.attempts()).toBe(1);
    const leaving = new AbortController();
    const waiting = routeThat([failed('connect')], { retryWaitsMs: [600_000] });
    const opening = waiting.open('a', leaving.signal);
    await until(() => waiting.attempts() === 1);
    leaving.abort();
    expect(await opening).toBe('closed: given up by the caller');
  });

  it('wire 69: by another address, where the first greets with BYE', async () => {
    const busy = await ScriptedBackend.open();
    busy.greeting = '* BYE too busy\r\n';
    const other = await ScriptedBackend.open({ host: '127.0.0.2', port: busy.port });
    const alice = await verifiedAlice();
    const { context } = routeContext({ lookup: async () => ['127.0.0.1', '127.0.0.2'] });
    const upstream = upstreamOf({ host: 'mail.backend.example', port: busy.port, context });
    const open = () =>
      upstream.routes?.imap?.open('alice', never, (signal) =>
        openImap(upstream, alice.login, { peer, signal }),
      );
    expect(await outcomeOf(open() ?? Promise.reject())).toBe('open');
    expect([busy.sockets.length, other.sockets.length]).toEqual([1, 1]);
    // And first by that one next time.
    expect(await outcomeOf(open() ?? Promise.reject())).toBe('open');
    expect([busy.sockets.length, other.sockets.length]).toEqual([1, 2]);
    await alice.close();
    await busy.close();
    await other.close();
  });
});

describe('S-52: the circuit breaker of a route', () => {
  const trip = async (bed: ReturnType<typeof routeThat>) => {
    for (const account of ['a', 'b', 'c', 'a', 'b']) await bed.open(account);
  };

  it('answers at once for a backend that failed everybody, and says so in log and metric', async () => {
    const bed = routeThat([failed('tls')]);
    await trip(bed);
    const before = bed.attempts();
    expect(await bed.open('z')).toBe('suspended: left alone for a moment: it failed every login');
    expect(bed.attempts()).toBe(before);
    expect(await gauge(bed)).toBe(0);
    expect(bed.log).toMatchObject([{ level: 50, backend: 'office', leg: 'imap', kind: 'tls', detail: 'no' }]);
  });

  it('lets one through after a while and closes with its success', async () => {
    const bed = routeThat([...Array(5).fill(failed('tls')), null]);
    await trip(bed);
    bed.clock.now = 5_000;
    expect(await bed.open('z')).toBe('open');
    expect(await gauge(bed)).toBe(1);
    expect(bed.log.map(({ msg }) => msg).at(-1)).toBe('backend is back');
    expect(await bed.open('a')).toBe('open');
  });

  it('tries a probe once only', async () => {
    const bed = routeThat([failed('connect')]);
    await trip(bed);
    const before = bed.attempts();
    bed.clock.now = 5_000;
    expect(await bed.open('z')).toBe('connect: no');
    expect(bed.attempts()).toBe(before + 1);
    expect(await bed.open('z')).toMatch(/^suspended/);
  });

  it.each([
    ['one account, however often', () => failed('connect'), (_: number) => 'a'],
    [
      'our credential refused, which may be one mailbox the backend lacks',
      () => failed('refused-us'),
      String,
    ],
    ['a mailbox that takes too long', () => failed('timeout', true), String],
    ['a connection that breaks in the login', () => failed('closed', true), String],
    ['an answer out of order', () => failed('protocol'), String],
    ['a loop, which a client can feign', () => failed('loop'), String],
  ])('is not opened by %s', async (_, failure, account) => {
    const bed = routeThat([failure()], { retryWaitsMs: [] });
    for (let count = 0; count < 1_000; count += 1) await bed.open(account(count));
    expect([bed.attempts(), await gauge(bed)]).toEqual([1_000, 1]);
  });

  it('is not opened by clients that leave', async () => {
    const bed = routeThat([failed('closed')]);
    for (let count = 0; count < 100; count += 1) await bed.open(String(count), AbortSignal.abort());
    expect(await gauge(bed)).toBe(1);
  });

  it('is opened by three accounts at a real backend that is gone, and closed by its return', async () => {
    const gone = await ScriptedBackend.open();
    const { port } = gone;
    await gone.close();
    const { context, clock } = routeContext();
    const upstream = upstreamOf({ port, context });
    const alice = await verifiedAlice();
    const open = async (account: string, login: VerifiedLogin) =>
      await outcomeOf(
        upstream.routes?.imap?.open(account, never, (signal) =>
          openImap(upstream, login, { peer, signal }),
        ) ?? Promise.reject(),
      );
    for (const account of ['a', 'b', 'c', 'a', 'b'])
      expect(await open(account, alice.login)).toMatch(/^connect: /);
    const back = await ScriptedBackend.open({ port });
    expect(await open('z', alice.login)).toMatch(/^suspended: /);
    expect(back.sockets).toHaveLength(0);
    clock.now = 5_000;
    expect(await open('z', alice.login)).toBe('open');
    await alice.close();
    await back.close();
  });

  it('a mailbox that is refused shows that the backend is there', async () => {
    const refusing = await ScriptedBackend.open();
    refusing.answer = (line) =>
      line.includes('AUTHENTICATE') ? `${line.split(' ')[0]} NO [LIMIT] too many\r\n` : logsIn(line);
    const { context, metrics } = routeContext();
    const upstream = upstreamOf({ port: refusing.port, context });
    const alice = await verifiedAlice();
    for (let count = 0; count < 20; count += 1) {
      const opening = upstream.routes?.imap?.open(String(count), never, (signal) =>
        openImap(upstream, alice.login, { peer, signal }),
      );
      expect(await outcomeOf(opening ?? Promise.reject())).toBe('mailbox-refused');
    }
    expect(await gauge({ metrics })).toBe(1);
    await alice.close();
    await refusing.close();
  });
});

describe('wire 49: what only an operator can end', () => {
  it('has a line once a minute, everything else one each time, and what was not tried none', () => {
    const { route, clock } = routeThat([null]);
    const news = (kind: UpstreamErrorKind) => route.isNews(failed(kind));
    expect([news('refused-us'), news('refused-us'), news('loop'), news('loop')]).toEqual([
      true,
      false,
      true,
      false,
    ]);
    clock.now = 59_999;
    expect(news('refused-us')).toBe(false);
    clock.now = 60_000;
    expect([news('refused-us'), news('refused-us')]).toEqual([true, false]);
    expect([news('connect'), news('connect'), news('suspended')]).toEqual([true, true, false]);
  });
});

async function gauge({
  metrics,
}: Pick<ReturnType<typeof routeContext>, 'metrics'>): Promise<number | undefined> {
  const { values } = await metrics.backendAvailable.get();
  return values.find(({ labels }) => labels.backend === 'office' && labels.leg === 'imap')?.value;
}
