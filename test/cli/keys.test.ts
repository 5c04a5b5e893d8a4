import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { keyOrders } from '../../src/control/key-orders.ts';
import { type ControlServer, serveControl } from '../../src/control/server.ts';
import { type KeyRingFile, loadKeyFile } from '../../src/credentials/key-file.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { makeSite, type Site } from './site.ts';

let site: Site;
let control: ControlServer | null = null;
beforeEach(async () => {
  site = await makeSite();
  await site.command('keys', 'init');
});
afterEach(async () => {
  await control?.close();
  control = null;
  await site.remove();
});

interface Key {
  readonly family: string;
  readonly id: number;
  readonly state: string;
  readonly rows: readonly { readonly table: string; readonly rows: number }[] | null;
}
const status = async () => (await site.dataOf('keys', 'status')) as readonly Key[];
const states = async () => (await status()).map(({ family, id, state }) => `${family} ${id} ${state}`);

/** What a running gateway answers at its socket, with the keys of the site. */
async function gatewayWith(site: Site): Promise<KeyRingFile> {
  const keys = await loadKeyFile(join(site.folder, 'keys/keys.json'));
  control = await serveControl({
    stateDir: join(site.folder, 'var'),
    commands: keyOrders(async () => await keys.reload()),
    logger: createLogger('silent'),
  });
  return keys;
}

describe('on one node', () => {
  it('rotate puts new keys into use at once, in the running gateway too', async () => {
    await site.command('migrate');
    const keys = await gatewayWith(site);
    const { code, out } = await site.command('keys', 'rotate', 'mac');
    expect([code, out]).toEqual([0, expect.stringContaining('New keys are in use: mac.')]);
    expect(await states()).toEqual(['pepper 1 active', 'mac 2 active', 'mac 1 accept', 'seal 1 active']);
    expect([keys.activeId('mac'), keys.ids('mac')]).toEqual([2, [2, 1]]);
  });

  it('stops half way where the gateway cannot take the file, and goes on when it can', async () => {
    await site.command('migrate');
    await gatewayWith(site);
    const file = join(site.folder, 'keys/keys.json');
    await control?.close();
    const keys = await loadKeyFile(file);
    let isBroken = true;
    control = await serveControl({
      stateDir: join(site.folder, 'var'),
      commands: keyOrders(async () => {
        // As of a gateway that runs as another user.
        if (isBroken) await chmod(file, 0o644);
        try {
          await keys.reload();
        } finally {
          await chmod(file, 0o600);
        }
      }),
      logger: createLogger('silent'),
    });
    expect(await site.command('keys', 'rotate')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/has mode 0644.*new keys are in the file .* and not yet in use/),
    });
    expect((await states()).filter((state) => state.endsWith('active'))).toEqual([
      ...['pepper 1 active', 'mac 1 active', 'seal 1 active'],
    ]);
    isBroken = false;
    expect(await site.command('keys', 'rotate')).toMatchObject({ code: 0 });
    expect((await states()).filter((state) => state.endsWith('active'))).toEqual([
      ...['pepper 2 active', 'mac 2 active', 'seal 2 active'],
    ]);
  });
});

describe('S-40: where there may be other nodes', () => {
  beforeEach(async () => {
    await site.remove();
    site = await makeSite({ redis: { url: 'redis://127.0.0.1:1' } });
    await site.command('keys', 'init');
  });

  it('rotate adds, and activate puts into use', async () => {
    const { code, out } = await site.command('keys', 'rotate');
    expect([code, out]).toEqual([0, expect.stringMatching(/not in use yet.*every node.*keys activate/s)]);
    expect(await states()).toContain('pepper 2 new');
    expect(await site.command('keys', 'activate', 'pepper')).toMatchObject({ code: 0 });
    expect((await states()).slice(0, 4)).toEqual([
      'pepper 2 active',
      'pepper 1 accept',
      'mac 2 new',
      'mac 1 active',
    ]);
    expect(await site.command('keys', 'activate')).toMatchObject({ code: 0 });
    expect(await site.command('keys', 'activate')).toMatchObject({
      code: 78,
      err: expect.stringContaining('no new key waits'),
    });
  });
});

describe('status', () => {
  it('counts the rows under each key, and can be looked at before there is a database', async () => {
    expect((await site.command('keys', 'status')).err).toContain('rows are not counted');
    expect((await status()).map(({ rows }) => rows)).toEqual([null, null, null]);
    await site.command('migrate');
    await site.command('account', 'create', 'anna');
    await site.command('app-password', 'create', '--account', 'anna', '--label', 'x');
    await site.command('keys', 'rotate');
    await site.command('app-password', 'create', '--account', 'anna', '--label', 'y');
    const counted = Object.fromEntries(
      (await status()).map(({ family, id, rows }) => [`${family} ${id}`, rows]),
    );
    expect(counted).toMatchObject({
      'pepper 1': [{ table: 'app_password', rows: 1 }],
      'pepper 2': [{ table: 'app_password', rows: 1 }],
      'mac 1': [
        { table: 'account', rows: 1 },
        { table: 'app_password', rows: 1 },
        { table: 'notice', rows: 1 },
        { table: 'notice_delivery', rows: 2 },
      ],
      'mac 2': [
        { table: 'app_password', rows: 1 },
        { table: 'notice', rows: 1 },
        { table: 'notice_delivery', rows: 2 },
      ],
      'seal 1': [],
    });
    expect((await site.command('keys', 'status')).out).toMatch(
      /^mac +1 +accept +\S+ +[0-9a-f]{8} +1 account, 1 app_password, 1 notice, 2 notice_delivery$/m,
    );
  });
});

describe('retire', () => {
  beforeEach(async () => {
    await site.command('migrate');
    await site.command('account', 'create', 'anna');
    await site.command('app-password', 'create', '--account', 'anna', '--label', 'x');
  });

  it('refuses a key in use, one that is not there, and one that rows are under', async () => {
    expect(await site.command('keys', 'retire', 'pepper', '1')).toMatchObject({
      code: 78,
      err: expect.stringContaining('is in use'),
    });
    expect(await site.command('keys', 'retire', 'pepper', '7')).toMatchObject({ code: 78 });
    expect(await site.command('keys', 'retire', 'salt', '1')).toMatchObject({ code: 2 });
    expect(await site.command('keys', 'retire', 'mac', 'x')).toMatchObject({ code: 2 });
    await site.command('keys', 'rotate');
    expect(await site.command('keys', 'retire', 'pepper', '1')).toMatchObject({
      code: 1,
      err: expect.stringContaining('pepper key 1 is needed by 1 app_password'),
    });
    expect(await states()).toContain('pepper 1 accept');
  });

  it('forced, it ends what is under the key; the number stays and the bytes go', async () => {
    await site.command('keys', 'rotate', 'pepper');
    const before = await readFile(join(site.folder, 'keys/keys.json'), 'utf8');
    const { code, out } = await site.command('keys', 'retire', 'pepper', '1', '--force');
    expect([code, out]).toEqual([0, expect.stringContaining('1 app passwords were revoked with it.')]);
    expect(await states()).toContain('pepper 1 gone');
    const old = /"id": 1,\s*"key": "([^"]+)"/.exec(before)?.[1] ?? 'none';
    expect(before).toContain(old);
    expect(await readFile(join(site.folder, 'keys/keys.json'), 'utf8')).not.toContain(old);
    expect(await site.dataOf('app-password', 'list', '--account', 'anna')).toMatchObject([
      { state: 'revoked' },
    ]);
  });

  it('S-35: a mac key that goes leaves the high-water mark readable', async () => {
    const [first] = (await site.dataOf('app-password', 'list', '--account', 'anna')) as { id: string }[];
    await site.command('app-password', 'revoke', first?.id ?? '');
    await site.command('keys', 'rotate', 'mac');
    await site.command('keys', 'retire', 'mac', '1', '--force');
    expect(await states()).toContain('mac 1 gone');
    const { code, err } = await site.command('account', 'create', 'bob');
    expect([code, err]).toEqual([0, '']);
  });
});

it('reload says where no gateway runs', async () => {
  await site.command('migrate');
  expect(await site.command('keys', 'reload')).toMatchObject({ code: 1, err: 'No gateway runs here.' });
  await gatewayWith(site);
  expect(await site.command('keys', 'reload')).toMatchObject({ code: 0 });
  await writeFile(join(site.folder, 'keys/keys.json'), '{}');
  expect(await site.command('keys', 'reload')).toMatchObject({
    code: 1,
    err: expect.stringContaining('The gateway keeps its keys'),
  });
});
