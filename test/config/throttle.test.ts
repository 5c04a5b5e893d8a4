import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type ZodType, z } from 'zod';
import { canary } from '../../src/config/canary-schema.ts';
import { readCanarySecrets } from '../../src/config/canary-secrets.ts';
import { limits } from '../../src/config/limits-schema.ts';
import { throttle } from '../../src/config/throttle-schema.ts';
import { defaultThrottleLimits } from '../../src/credentials/throttle-limits.ts';
import { defaultSignInLimits } from '../../src/identity/sign-in/throttle.ts';

function problemsOf(schema: ZodType, value: unknown): string {
  const { error } = z.strictObject({ setting: schema }).safeParse({ setting: value });
  return (error?.issues ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`).join('\n');
}

describe('S-19: throttle', () => {
  it('has the defaults of the program', () => {
    expect(throttle.parse(undefined)).toEqual({
      mail: defaultThrottleLimits,
      signIn: defaultSignInLimits,
      portalRequestsPerMinute: 120,
    });
  });

  it('takes every number', () => {
    const set = {
      delay_from: 3,
      max_delay: '5s',
      refuse_from: 6,
      network_refuse_from: 30,
      window: '30m',
      refuse_for: '5m',
      spare_after_success: '7d',
      entries: 50_000,
      portal: { account: 3, network: 100, backend: 4, requests_per_minute: 600 },
    };
    expect(throttle.parse(set)).toEqual({
      mail: {
        delayFrom: 3,
        maxDelayMs: 5_000,
        refuseFrom: 6,
        networkRefuseFrom: 30,
        windowMs: 30 * 60_000,
        refuseMs: 5 * 60_000,
        exemptMs: 7 * 86_400_000,
        entries: 50_000,
      },
      signIn: { accountWrong: 3, networkWrong: 100, backendWrong: 4 },
      portalRequestsPerMinute: 600,
    });
  });

  it.each<[object, RegExp]>([
    [{ delay_from: 21 }, /^setting\.delay_from: must not be above refuse_from$/],
    [{ refuse_from: 0 }, /^setting\.refuse_from: .*>=1/],
    [{ window: '2d' }, /^setting\.window: must be 1m to 1d$/],
    [{ window: 60 }, /^setting\.window: /],
    [{ refuse_for: '30s' }, /^setting\.refuse_for: must be 1m to 1d$/],
    [{ max_delay: '5m' }, /^setting\.max_delay: must be 1s to 1m$/],
    [{ entries: 10 }, /^setting\.entries: /],
    [{ off: true }, /Unrecognized key: "off"/],
    [{ portal: { requests_per_minute: 0 } }, /^setting\.portal\.requests_per_minute: /],
    [{ portal: { backend: 1.5 } }, /^setting\.portal\.backend: /],
  ])('%j is told', (set, expected) => {
    expect(problemsOf(throttle, set)).toMatch(expected);
  });
});

describe('S-12, S-21: limits', () => {
  it('have the defaults of the program', () => {
    expect(limits.parse(undefined)).toMatchObject({
      unfinishedHandshakesPerNetwork: 50,
      hashesWaitingPerAccount: 4,
      hashesWaitingPerNetwork: 32,
      hashWaitMs: 30_000,
    });
  });

  it('let nobody wait for a hash for longer than a login may take', () => {
    expect(problemsOf(limits, { hash_wait: '1m' })).toBe('setting.hash_wait: must be 1s to 40s');
    expect(problemsOf(limits, { unfinished_handshakes_per_network: 0 })).toMatch(/>=1/);
  });
});

describe('S-24: canary', () => {
  let folder: string;
  const file = (name: string) => join(folder, name);
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sallyport-canary-'));
    await writeFile(file('live'), 'abcdefghijklmnoq\n');
    await writeFile(file('main'), 'correct horse battery staple');
    await writeFile(file('empty'), '\n');
    await writeFile(file('two lines'), 'one\ntwo\n');
  });
  afterAll(() => rm(folder, { recursive: true }));

  async function read(set: object, proxyProtocolFrom: string[] = []) {
    const findings = { problems: [] as string[], warnings: [] as string[] };
    const parsed = canary.parse({
      account: 'canary@example.com',
      app_password_file: file('live'),
      main_password_file: file('main'),
      ...set,
    });
    const config = {
      canary: parsed ?? null,
      domains: { 'example.com': {} },
      defaultDomain: 'example.com',
      listen: [{ proxyProtocolFrom }],
    };
    const secrets = await readCanarySecrets(
      config as unknown as Parameters<typeof readCanarySecrets>[0],
      findings,
    );
    return { secrets, ...findings };
  }

  it('is off where nothing is said, and every 10 minutes where nothing else is', () => {
    expect(canary.parse(undefined)).toBeUndefined();
    expect(canary.parse({ account: 'a@b', app_password_file: 'x' })).toMatchObject({ everyMs: 600_000 });
    expect(problemsOf(canary, { account: 'a@b', app_password_file: 'x', every: '5s' })).toMatch(/1m to 1d/);
    expect(problemsOf(canary, { account: 'a@b' })).toMatch(/app_password_file/);
  });

  it('reads its passwords, without the end of the line', async () => {
    const { secrets, problems, warnings } = await read({});
    expect([problems, warnings]).toEqual([[], []]);
    expect(secrets?.appPassword.text()).toBe('abcdefghijklmnoq');
    expect(secrets?.mainPassword?.text()).toBe('correct horse battery staple');
    expect(secrets?.revokedPassword).toBeNull();
    expect(JSON.stringify(secrets)).not.toContain('horse');
  });

  it('tells what is of no use', async () => {
    expect((await read({ account: 'canary@elsewhere.example' })).problems).toEqual([
      'canary.account: canary@elsewhere.example is of no domain among domains',
    ]);
    expect((await read({ account: 'canary' })).problems).toEqual([]);
    expect((await read({ revoked_password_file: file('none') })).problems).toEqual([
      `canary.revoked_password_file: ${file('none')}: there is no such file`,
    ]);
    expect((await read({ app_password_file: file('empty') })).problems).toEqual([
      `canary.app_password_file: ${file('empty')} is empty`,
    ]);
    expect((await read({ main_password_file: file('two lines') })).problems).toEqual([
      `canary.main_password_file: ${file('two lines')} holds a control character or a second line`,
    ]);
  });

  it('warns of what it cannot try', async () => {
    const { warnings } = await read({ main_password_file: undefined }, ['10.0.0.0/24']);
    expect(warnings).toEqual([
      'listen.0: the canary cannot try a port that expects a PROXY header',
      'canary.main_password_file: without it nobody notices when a door takes main passwords',
    ]);
  });
});
