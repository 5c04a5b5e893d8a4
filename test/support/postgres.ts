import { randomBytes } from 'node:crypto';
import { chmod, chown, copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { freePort } from '../../src/demo/free-port.ts';
import { run } from '../../src/demo/program.ts';
import { letOthersPass, makeScratchFolder } from '../../src/demo/scratch-folder.ts';
import { type ServerProcess, startServerProcess } from '../../src/demo/server-process.ts';
import { until } from './until.ts';

const programs = '/usr/lib/postgresql';
const administrator = { user: 'postgres', password: 'administrator' };
/** Of the gateway's role; its characters must survive a URL. */
export const gatewayPassword = 'p@ss/w:rd 100%';
const runtimeRole = 'sallyport_runtime';

/** A PostgreSQL cluster of one's own, on 127.0.0.1 and on a Unix socket. */
export interface Postgres {
  readonly port: number;
  /** Where its Unix socket is. */
  readonly socketFolder: string;
  /** An empty database that the gateway's role owns, as a URL. */
  createDatabase(): Promise<string>;
  /** The same database for a role that may change what is in its tables, and not the tables (S-33). */
  asRuntimeRole(url: string): Promise<string>;
  /** As the administrator, in the database of the URL. */
  query(url: string, text: string): Promise<readonly Readonly<Record<string, unknown>>[]>;
  /** Ends it in order, connections included; {@link Postgres.start} brings it back where it was. */
  halt(): Promise<void>;
  /** As a power cut would. */
  crash(): Promise<void>;
  start(): Promise<void>;
  /** Every process of it stands still, and connections stay open. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  /** Ends it and takes its files away. */
  stop(): Promise<void>;
}

/** What {@link Postgres.asRuntimeRole} was given; another database as it is. */
export function asOwner(at: string): string {
  return at.replace(`://${runtimeRole}:`, '://sallyport:');
}

/** Starts one. `tls` are PEM files of the server's certificate and key. */
export async function startPostgres(
  options: { readonly tls?: { readonly certFile: string; readonly keyFile: string } } = {},
): Promise<Postgres> {
  const bin = await newestPrograms();
  const scratch = await makeScratchFolder();
  const data = join(scratch.path, 'data');
  await mkdir(data, { mode: 0o700 });
  const passwordFile = join(scratch.path, 'password');
  await writeFile(passwordFile, administrator.password);
  // PostgreSQL refuses to run as root.
  const isRoot = process.getuid?.() === 0;
  const owner = isRoot ? await idsOf('postgres') : null;
  const own = async (path: string) => owner !== null && (await chown(path, owner.uid, owner.gid));
  if (owner !== null) await letOthersPass(scratch.path);
  await own(data);
  await own(passwordFile);
  const asOwner = (program: string, args: readonly string[]): readonly [string, readonly string[]] =>
    owner === null
      ? [program, args]
      : [
          'setpriv',
          [`--reuid=${owner.uid}`, `--regid=${owner.gid}`, '--clear-groups', '--', program, ...args],
        ];
  await run(
    ...asOwner(join(bin, 'initdb'), [
      ...['-D', data, '-U', administrator.user, '--pwfile', passwordFile, '-A', 'scram-sha-256'],
      ...['-E', 'UTF8', '--locale', 'C.UTF-8', '--no-sync'],
    ]),
  );
  const tls: Record<string, string> = {};
  if (options.tls !== undefined) {
    for (const [name, file] of Object.entries({ cert: options.tls.certFile, key: options.tls.keyFile })) {
      const copy = join(data, `server.${name}`);
      await copyFile(file, copy);
      await chmod(copy, 0o600);
      await own(copy);
      tls[`ssl_${name}_file`] = copy;
    }
    tls.ssl = 'on';
  }
  const port = await freePort();
  const settings = {
    // The second is an address that no certificate names.
    listen_addresses: '127.0.0.1,127.0.0.2',
    port: String(port),
    unix_socket_directories: data,
    // The files die with the test; a killed server loses nothing that the kernel has.
    fsync: 'off',
    shared_buffers: '16MB',
    ...tls,
  };
  return new Cluster({
    port,
    data,
    remove: scratch.remove,
    launch: async () => {
      const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
      const [program, words] = asOwner(join(bin, 'postgres'), ['-D', data, ...args]);
      const logFile = join(scratch.path, 'postgres.log');
      return await startServerProcess({ program, args: words, logFile, greetings: [{ port, greeting: '' }] });
    },
  }).begin();
}

class Cluster implements Postgres {
  readonly port: number;
  readonly socketFolder: string;
  readonly #launch: () => Promise<ServerProcess>;
  readonly #remove: () => Promise<void>;
  #server: ServerProcess | null = null;

  constructor(parts: {
    readonly port: number;
    readonly data: string;
    readonly launch: () => Promise<ServerProcess>;
    readonly remove: () => Promise<void>;
  }) {
    this.port = parts.port;
    this.socketFolder = parts.data;
    this.#launch = parts.launch;
    this.#remove = parts.remove;
  }

  async begin(): Promise<this> {
    await this.start();
    for (const role of ['sallyport', runtimeRole]) {
      const create = `create role ${role} login password '${gatewayPassword}'`;
      await this.query(this.#url('postgres'), create);
    }
    return this;
  }

  async createDatabase(): Promise<string> {
    const name = `test_${randomBytes(6).toString('hex')}`;
    await this.query(this.#url('postgres'), `create database ${name} owner sallyport`);
    return this.#url(name);
  }

  async asRuntimeRole(url: string): Promise<string> {
    await this.query(url, `grant usage on schema public to ${runtimeRole}`);
    const rights = 'select, insert, update, delete';
    await this.query(url, `grant ${rights} on all tables in schema public to ${runtimeRole}`);
    return url.replace('://sallyport:', `://${runtimeRole}:`);
  }

  async query(url: string, text: string) {
    const database = new URL(url).pathname.slice(1);
    const client = new pg.Client({ host: '127.0.0.1', port: this.port, database, ...administrator });
    client.on('error', () => undefined);
    await client.connect();
    try {
      return (await client.query(text)).rows as readonly Readonly<Record<string, unknown>>[];
    } finally {
      await client.end();
    }
  }

  async start(): Promise<void> {
    this.#server = await this.#launch();
    await until(async () => {
      try {
        await this.query(this.#url('postgres'), 'select 1');
        return true;
      } catch {
        // It listens before it has recovered.
        return false;
      }
    });
  }

  async halt(): Promise<void> {
    await this.#end('SIGINT');
  }

  async crash(): Promise<void> {
    await this.#end('SIGQUIT');
  }

  async freeze(): Promise<void> {
    for (const pid of await this.#processes()) process.kill(pid, 'SIGSTOP');
  }

  async thaw(): Promise<void> {
    for (const pid of await this.#processes()) process.kill(pid, 'SIGCONT');
  }

  async stop(): Promise<void> {
    if (this.#server !== null) await this.crash();
    await this.#remove();
  }

  #url(database: string): string {
    return `postgres://sallyport:${encodeURIComponent(gatewayPassword)}@127.0.0.1:${this.port}/${database}`;
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const processes = await this.#processes();
    const [postmaster] = processes;
    if (postmaster !== undefined) process.kill(postmaster, signal);
    const isAlive = async (pid: number) => (await parentOf(pid)) !== null;
    await until(async () => !(await Promise.all(processes.map(isAlive))).includes(true));
    await this.#server?.stop();
    this.#server = null;
  }

  /** The postmaster first. */
  async #processes(): Promise<readonly number[]> {
    const text = await readFile(join(this.socketFolder, 'postmaster.pid'), 'utf8').catch(() => '');
    if (text === '') return [];
    const postmaster = Number.parseInt(text, 10);
    const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
    const parents = await Promise.all(pids.map(parentOf));
    return [postmaster, ...pids.filter((_, index) => parents[index] === postmaster)];
  }
}

/** null when there is no such process any more, or it only waits to be collected. */
async function parentOf(pid: number): Promise<number | null> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'latin1');
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' ? null : Number(parent);
  } catch {
    return null;
  }
}

/** The folder of the newest version's programs. */
export async function newestPrograms(): Promise<string> {
  const versions = await readdir(programs).catch(() => []);
  const newest = versions
    .map(Number)
    .filter(Number.isInteger)
    .sort((a, b) => b - a)[0];
  if (newest === undefined) throw new Error('PostgreSQL is not installed; run scripts/setup');
  return join(programs, String(newest), 'bin');
}

async function idsOf(user: string): Promise<{ readonly uid: number; readonly gid: number }> {
  return { uid: Number(await run('id', ['-u', user])), gid: Number(await run('id', ['-g', user])) };
}
