import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parse, stringify } from 'yaml';
import { run } from '../../src/cli/program.ts';
import { type SettingOverrides, writeConfiguration } from '../../src/demo/configuration.ts';
import { freePort } from '../../src/demo/free-port.ts';
import { startMailSite } from '../../src/demo/mail-site.ts';
import { makeScratchFolder } from '../../src/demo/scratch-folder.ts';
import type { GatewayOptions } from '../../src/main.ts';
import { LineClient } from './line-client.ts';

const program = fileURLToPath(new URL('./gateway-process.ts', import.meta.url));
const startMs = 30_000;

/** What a command printed. */
export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** An app password as the command prints it. */
export interface Issued {
  readonly id: string;
  readonly account: string;
  readonly secret: string;
}

/** One mail site, and several gateways in processes of their own before it that share a database, a Redis and the keys. */
export class NodeSite {
  readonly folder: string;
  readonly #ca: Buffer;
  readonly #base: string;
  readonly #closers: (() => Promise<unknown> | unknown)[];
  readonly #nodes: GatewayNode[] = [];
  #count = 0;

  private constructor(
    folder: string,
    ca: Buffer,
    base: string,
    closers: (() => Promise<unknown> | unknown)[],
  ) {
    this.folder = folder;
    this.#ca = ca;
    this.#base = base;
    this.#closers = closers;
  }

  static async start(addresses: readonly string[], settings: SettingOverrides): Promise<NodeSite> {
    const scratch = await makeScratchFolder();
    const mailboxes = Object.fromEntries(
      addresses.map((address) => [address, `Main password of ${address}`]),
    );
    const site = await startMailSite(scratch.path, mailboxes);
    const base = await writeConfiguration(site, {
      limits: { handshakes_per_second: 1_000, handshake_burst: 10_000 },
      app_passwords: { argon2: { memory_kib: 7_168, passes: 1, lanes: 1 } },
      ...settings,
    });
    return new NodeSite(scratch.path, site.certificates.ca, base, [scratch.remove, () => site.stop()]);
  }

  /** A gateway more, which runs. */
  async node(timing: GatewayOptions['timing'] = {}): Promise<GatewayNode> {
    this.#count += 1;
    const folder = join(this.folder, `node-${this.#count}`);
    await mkdir(folder);
    const portal = await freePort();
    const configFile = join(folder, 'sallyport.yaml');
    const settings = {
      ...(parse(await readFile(this.#base, 'utf8')) as object),
      state_dir: join(folder, 'state'),
      listen: [{ door: 'imap', host: '127.0.0.1', port: await freePort(), tls: 'implicit' }],
      portal: { host: '127.0.0.1', port: portal, public_url: `https://localhost:${portal}` },
      metrics: { host: '127.0.0.1', port: await freePort() },
    };
    await writeFile(configFile, stringify(settings));
    const node = new GatewayNode({
      folder,
      configFile,
      ca: this.#ca,
      metricsPort: settings.metrics.port,
      timing,
    });
    this.#nodes.push(node);
    await node.start();
    return node;
  }

  async stopNodes(): Promise<void> {
    await Promise.all(this.#nodes.splice(0).map((node) => node.stop()));
  }

  async stop(): Promise<void> {
    await this.stopNodes();
    for (const close of this.#closers.splice(0).reverse()) await close();
  }
}

/** A gateway in a process of its own. */
export class GatewayNode {
  readonly configFile: string;
  readonly logFile: string;
  readonly #ca: Buffer;
  readonly #metricsPort: number;
  readonly #timing: GatewayOptions['timing'];
  #child: ChildProcess | null = null;
  #imapPort = 0;

  constructor(parts: {
    readonly folder: string;
    readonly configFile: string;
    readonly ca: Buffer;
    readonly metricsPort: number;
    readonly timing: GatewayOptions['timing'];
  }) {
    this.configFile = parts.configFile;
    this.logFile = join(parts.folder, 'gateway.log');
    this.#ca = parts.ca;
    this.#metricsPort = parts.metricsPort;
    this.#timing = parts.timing;
  }

  /** As `session list` names it. */
  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  async start(): Promise<void> {
    const words = [this.configFile, this.logFile, JSON.stringify(this.#timing ?? {})];
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program, ...words], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#child = child;
    const lines = createInterface({ input: child.stdout });
    const [line] = (await once(lines, 'line', { signal: AbortSignal.timeout(startMs) })) as [string];
    this.#imapPort = (JSON.parse(line) as { imap: readonly number[] }).imap[0] ?? 0;
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'close');
    child.kill(signal);
    await ended;
  }

  /** A `sallyport` command with this node's configuration: a process beside the gateways, as far as they can tell. */
  async command(...words: readonly string[]): Promise<Outcome> {
    const out: string[] = [];
    const err: string[] = [];
    const code = await run([...words, '--config', this.configFile], {
      out: (line) => out.push(line),
      err: (line) => err.push(line),
      environment: {},
      signal: AbortSignal.timeout(60_000),
      now: Date.now,
    });
    return { code, out: out.join('\n'), err: err.join('\n') };
  }

  /** Makes the account too, where it is new. */
  async issue(account: string): Promise<Issued> {
    await this.command('account', 'create', account);
    const words = ['app-password', 'create', '--account', account, '--label', 'test', '--json'];
    const { code, out, err } = await this.command(...words);
    if (code !== 0) throw new Error(err);
    return JSON.parse(out) as Issued;
  }

  async connect(): Promise<LineClient> {
    const client = await LineClient.connect(this.#imapPort, this.#ca);
    await client.line();
    return client;
  }

  /** The last line of the answer to LOGIN. */
  async logIn({ account, secret }: Issued): Promise<string> {
    const client = await this.connect();
    const lines = await client.imap('a', `LOGIN ${account} ${secret}`);
    client.close();
    return lines.at(-1) ?? 'closed';
  }

  /** A session that waits in IDLE. */
  async idle(issued: Issued): Promise<LineClient> {
    const client = await this.connect();
    const answer = (await client.imap('a', `LOGIN ${issued.account} ${issued.secret}`)).at(-1) ?? 'closed';
    if (!answer.startsWith('a OK')) throw new Error(answer);
    await client.imap('b', 'SELECT INBOX');
    client.send('c IDLE');
    await client.linesUntil((line) => line.startsWith('+ '));
    return client;
  }

  /** The value of a metric, named with its labels; 0 where there is none. */
  async metric(name: string): Promise<number> {
    const response = await fetch(`http://127.0.0.1:${this.#metricsPort}/metrics`);
    const line = (await response.text()).split('\n').find((each) => each.startsWith(`${name} `));
    return Number(line?.split(' ').at(-1) ?? 0);
  }
}
