import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { parse, stringify } from 'yaml';
import { database, databaseName } from '../../src/config/database-schema.ts';
import { loadConfig } from '../../src/config/load.ts';
import { makeSite, type Site } from '../cli/site.ts';

const server = {
  engine: 'postgres',
  port: 5432,
  user: 'gw',
  database: 'mail',
  caFile: null,
  passwordFile: null,
};

describe('database.url', () => {
  it.each([
    ['postgres://gw@127.0.0.1/mail', { host: '127.0.0.1', isTls: false, password: null }],
    ['postgresql://gw@localhost:6432/mail', { host: 'localhost', port: 6432, isTls: false, password: null }],
    ['postgres://gw:p%40ss%2F@[::1]/mail', { host: '::1', isTls: false, password: 'p@ss/' }],
    ['postgres://gw@%2Frun%2Fpostgresql/mail', { host: '/run/postgresql', isTls: false, password: null }],
    ['postgres://gw:x@db.example/mail', { host: 'db.example', isTls: true, password: 'x' }],
    [
      'postgres://gw:x@db.example/mail?sslmode=verify-full',
      { host: 'db.example', isTls: true, password: 'x' },
    ],
    ['postgres://gw@127.0.0.1/mail?sslmode=verify-full', { host: '127.0.0.1', isTls: true, password: null }],
  ])('%s is understood', (url, expected) => {
    expect(database.parse({ url })).toEqual({ ...server, ...expected });
  });

  it('with ca_file is TLS on this host too', () => {
    const parsed = database.parse({ url: 'postgres://gw@127.0.0.1/mail', ca_file: 'ca.pem' });
    expect(parsed).toMatchObject({ isTls: true, caFile: 'ca.pem' });
  });

  it.each([
    ['mysql://gw@db.example/mail', /must be sqlite:PATH or postgres:/],
    ['postgres://gw:secret@db.example/mail?sslmode=disable', /sslmode can only be verify-full/],
    ['postgres://gw:secret@db.example/mail?sslmode=require', /sslmode can only be verify-full/],
    ['postgres://gw:secret@127.0.0.1/mail?sslmode=prefer', /sslmode can only be verify-full/],
    ['postgres://gw:secret@db.example/mail?options=-c%20x', /takes no parameter but/],
    ['postgres://gw@db.example/mail', /needs a password/],
    ['postgres://gw:secret@db.example/', /needs the name of a database/],
    ['postgres://db.example/mail', /needs a user/],
    ['postgres:///mail', /needs a host/],
    ['postgres://gw:secret%zz@db.example/mail', /begins no percent-encoding/],
    ['postgres://gw:secret@db.example:99999/mail', /is not a URL/],
    ['postgres://gw@%2Frun/mail?sslmode=verify-full', /no TLS on a Unix socket/],
  ])('S-33: %s is refused, and the password not told', (url, message) => {
    const { success, error } = database.safeParse({ url });
    expect(success).toBe(false);
    const [issue] = error?.issues ?? [];
    expect(issue?.message).toMatch(message);
    expect(JSON.stringify(error?.issues)).not.toContain('secret');
  });

  it('is named to people without its password', () => {
    const named = (url: string) => databaseName(database.parse({ url }));
    expect(named('postgres://gw:x@db.example/mail')).toBe('postgres://gw@db.example:5432/mail');
    expect(named('postgres://gw:x@[::1]/mail')).toBe('postgres://gw@[::1]:5432/mail');
    expect(named('postgres://g%40w:x@%2Frun/mail')).toBe('postgres://g%40w@%2Frun:5432/mail');
    expect(named('sqlite:var/x.db')).toBe('var/x.db');
  });
});

describe('the configuration of a PostgreSQL database', () => {
  let site: Site;
  let folder: string;
  beforeAll(async () => {
    site = await makeSite();
    folder = await mkdtemp(join(tmpdir(), 'sallyport-database-'));
  });
  afterAll(async () => {
    await site.remove();
    await rm(folder, { recursive: true });
  });

  const load = async (settings: object, environment: NodeJS.ProcessEnv = {}) => {
    const file = join(folder, 'sallyport.yaml');
    const base = parse(await readFile(site.configFile, 'utf8')) as object;
    await writeFile(file, stringify({ ...base, database: settings }));
    return await loadConfig(file, environment);
  };

  it('S-41: keeps the password apart, from the environment or a file', async () => {
    const fromUrl = await load({ url: 'postgres://gw:${env:PW}@127.0.0.1/mail' }, { PW: 'p%40ss' });
    if (fromUrl.kind !== 'loaded') throw new Error(fromUrl.problems.join());
    expect(JSON.stringify(fromUrl.config)).not.toContain('p@ss');
    expect(fromUrl.secrets.databasePassword?.text()).toBe('p@ss');

    await writeFile(join(folder, 'password'), 'from a file\n');
    const fromFile = await load({
      url: 'postgres://gw@db.example/mail',
      password_file: join(folder, 'password'),
    });
    if (fromFile.kind !== 'loaded') throw new Error(fromFile.problems.join());
    expect(fromFile.config.database).not.toHaveProperty('passwordFile');
    expect(fromFile.secrets.databasePassword?.text()).toBe('from a file');
  });

  it('is told what is wrong with its files', async () => {
    const url = 'postgres://gw@db.example/mail';
    await writeFile(join(folder, 'empty'), '\n');
    const problemsOf = async (settings: object) => {
      const loaded = await load(settings);
      return loaded.kind === 'invalid' ? loaded.problems : [];
    };
    expect(await problemsOf({ url, password_file: join(folder, 'none') })).toEqual([
      expect.stringMatching(/^database\.password_file: .*there is no such file/),
    ]);
    expect(await problemsOf({ url, password_file: join(folder, 'empty') })).toEqual([
      expect.stringMatching(/^database\.password_file: .* is empty$/),
    ]);
    const password_file = join(folder, 'password');
    await writeFile(password_file, 'x');
    expect(await problemsOf({ url, password_file, ca_file: password_file })).toEqual([
      expect.stringMatching(/^database\.ca_file: .* holds no certificate$/),
    ]);
    expect(await problemsOf({ url: 'postgres://gw:x@db.example/mail', password_file })).toEqual([
      expect.stringMatching(/^database\.password_file: is not needed/),
    ]);
    expect(await problemsOf({ url: 'sqlite:x.db', password_file })).toEqual([
      expect.stringMatching(/^database\.password_file: is for postgres/),
    ]);
  });
});
