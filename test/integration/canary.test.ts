import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Canary, type CanaryParts } from '../../src/assembly/canary.ts';
import type { OpenDoor } from '../../src/assembly/canary-login.ts';
import { makeScratchFolder, type ScratchFolder } from '../../src/demo/scratch-folder.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { Secret } from '../../src/secret.ts';
import { makeCertificate } from '../proxy/listener-bed.ts';
import { alice, type IssuedAppPassword, startTestGateway, type TestGateway } from '../support/gateway.ts';
import { tester } from '../support/journal.ts';
import { LineClient } from '../support/line-client.ts';
import { until } from '../support/until.ts';

let bed: TestGateway;
let live: IssuedAppPassword;
let revoked: IssuedAppPassword;
let certificate: Buffer;
const scopes = ['imap', 'pop3', 'smtp'] as const;

beforeAll(async () => {
  bed = await startTestGateway();
  certificate = await readFile(bed.site.certificates.certFile);
  live = await bed.issue(alice, { scopes });
  revoked = await bed.issue(alice, { scopes });
  await bed.gateway.parts.appPasswords.revoke(revoked.accountId, revoked.id, 'test', tester);
}, 60_000);
afterAll(() => bed.stop());

const certificates = () => [{ cert: certificate, key: Buffer.alloc(0) }];

/** Every door of the gateway. */
function gatewayDoors(): readonly OpenDoor[] {
  const { imap, pop3, smtp } = bed.gateway.ports;
  return Object.entries({ imap, pop3, smtp }).flatMap(([door, ports]) =>
    ports.map((port, index) => ({
      door: door as OpenDoor['door'],
      host: '127.0.0.1',
      port,
      tls: index === 0 ? ('implicit' as const) : ('starttls' as const),
      legacyTls: false,
      certificates: certificates(),
    })),
  );
}

function canary(
  change: Partial<CanaryParts> = {},
  passwords: Partial<Record<'live' | 'main' | 'revoked', string>> = {},
) {
  const log: string[] = [];
  const metrics = createMetrics();
  const made = new Canary({
    doors: gatewayDoors,
    account: alice,
    hostname: 'mail.example.com',
    secrets: {
      appPassword: Secret.fromText(passwords.live ?? live.secret),
      mainPassword: Secret.fromText(passwords.main ?? bed.mainPasswords[alice] ?? ''),
      revokedPassword: Secret.fromText(passwords.revoked ?? revoked.secret),
    },
    everyMs: 60_000,
    metrics,
    logger: createLogger('info', { write: (line: string) => log.push(line) }),
    ...change,
  });
  const counted = async () =>
    (await metrics.canaryFailures.get()).values.map(
      ({ labels, value }) => `${labels.door} ${labels.check} ${value}`,
    );
  return { made, log, counted };
}

const names = () => gatewayDoors().map(({ door, port }) => `${door}:${port}`);

describe('S-24: the canary', () => {
  it('is let in at every door with its live app password, and with nothing else', async () => {
    const { made, log, counted } = canary();
    expect(gatewayDoors()).toHaveLength(6);
    expect(await made.run()).toEqual([]);
    expect(await made.run()).toEqual([]);
    expect([log, await counted()]).toEqual([[], []]);
  }, 60_000);

  it('gives an alarm at every door that takes a revoked app password, as after a restored backup', async () => {
    const revived = await bed.issue(alice, { scopes });
    const { made, log, counted } = canary({}, { revoked: revived.secret });
    const failures = await made.run();
    expect(failures).toEqual(
      names().map((door) => ({ door, check: 'revoked', what: 'a revoked app password was let in' })),
    );
    expect(await counted()).toEqual(names().map((door) => `${door} revoked 1`));
    expect(log.map((line) => JSON.parse(line) as { level: number; check: string })).toEqual(
      names().map(() => expect.objectContaining({ level: 50, event: 'canary', check: 'revoked' })),
    );
    for (const { secret } of [live, revived]) expect(log.join('')).not.toContain(secret);
  }, 60_000);

  it('gives an alarm where a door takes the main password: a port that leads past the gateway', async () => {
    const { site } = bed;
    const open = { host: 'localhost', tls: 'implicit', legacyTls: false } as const;
    const doors = [
      { ...open, door: 'imap' as const, port: site.imaps, certificates: certificates() },
      { ...open, door: 'pop3' as const, port: site.pop3s, certificates: certificates() },
    ];
    const failures = await canary({ doors: () => doors }).made.run();
    expect(failures.filter(({ check }) => check === 'main')).toEqual(
      doors.map(({ door, port }) => ({
        door: `${door}:${port}`,
        check: 'main',
        what: 'a main password was let in',
      })),
    );
    // The app password is nothing to the backend itself.
    expect(failures.filter(({ check }) => check !== 'main').map(({ check }) => check)).toEqual([
      'live',
      'live',
    ]);
  }, 60_000);

  it('gives an alarm where its live app password is refused, and where the door is shut', async () => {
    const { made } = canary({}, { live: revoked.secret });
    expect((await made.run()).map(({ door, check, what }) => [door, check, what])).toEqual(
      names().map((door) => [door, 'live', 'a right app password was refused']),
    );
    const shut: OpenDoor = {
      door: 'imap',
      host: '127.0.0.1',
      port: 1,
      tls: 'implicit',
      legacyTls: false,
      certificates: certificates(),
    };
    const failures = await canary({ doors: () => [shut] }).made.run();
    expect(failures.map(({ check }) => check)).toEqual(['live', 'main', 'revoked', 'empty']);
    expect(failures[0]?.what).toMatch(/^no answer: /);
  }, 60_000);

  it('says nothing secret to a door with another certificate', async () => {
    const other = await makeCertificate('ec', 'localhost');
    const [door] = gatewayDoors();
    if (door === undefined) throw new Error('no door');
    const failures = await canary({ doors: () => [{ ...door, certificates: [other] }] }).made.run();
    expect(failures.map(({ check }) => check)).toEqual(['live', 'main', 'revoked', 'empty']);
    for (const { what } of failures) expect(what).toMatch(/^no answer: .*(?:certificate|issuer)/);
  }, 60_000);

  it('slows nobody: all its wrong tries are one wrong secret of its account and this machine', async () => {
    const { made } = canary();
    for (let time = 0; time < 8; time += 1) expect(await made.run()).toEqual([]);
    const { entries } = bed.gateway.parts.throttle.view({ account: null, network: '127.0.0.1' });
    expect(entries.map(({ distinct }) => distinct)).toEqual(entries.map(() => 1));
    const client = await LineClient.connect(bed.imapPort, bed.ca);
    await client.line();
    const other = await bed.issue('bob@example.com');
    expect((await client.imap('a', `LOGIN bob@example.com ${other.secret}`)).at(-1)).toMatch(/^a OK /);
    client.close();
  }, 120_000);

  it('stops in the middle, and tells nothing of it', async () => {
    const { made, log } = canary();
    const running = made.run();
    made.stop();
    expect(await running).toEqual([]);
    expect(log).toEqual([]);
  });
});

describe('S-24: a gateway with a canary', () => {
  let scratch: ScratchFolder;
  afterEach(() => scratch.remove());

  it('tries its doors by itself, and counts what is wrong', async () => {
    scratch = await makeScratchFolder();
    const file = async (name: string, text: string) => {
      const path = join(scratch.path, name);
      await writeFile(path, `${text}\n`, { mode: 0o600 });
      return path;
    };
    const gateway = await startTestGateway({
      canary: {
        account: alice,
        app_password_file: await file('live', live.secret),
        main_password_file: await file('main', 'Main password of alice'),
      },
    });
    try {
      const { canaryFailures } = gateway.gateway.parts.metrics;
      const counts = async () => (await canaryFailures.get()).values.map(({ labels }) => labels.check);
      // That app password is of another gateway: six doors refuse it, and nothing else is wrong.
      await until(async () => (await counts()).length === 6);
      expect(new Set(await counts())).toEqual(new Set(['live']));
      const log = await readFile(gateway.logFile, 'utf8');
      expect(log).toContain('a door does not do as it should');
      expect(log).not.toContain(live.secret);
    } finally {
      await gateway.stop();
    }
  }, 60_000);
});
