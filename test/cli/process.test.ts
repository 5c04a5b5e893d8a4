import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { run } from '../../src/cli/program.ts';
import { LineClient } from '../support/line-client.ts';
import { until } from '../support/until.ts';
import { makeSite, type Site } from './site.ts';

const root = resolve(import.meta.dirname, '../..');
const program = join(root, 'src/cli/index.ts');
let site: Site;
const children: ChildProcess[] = [];

beforeEach(async () => {
  site = await makeSite({ log_level: 'info' });
  await site.command('keys', 'init');
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const ended = once(child, 'close');
    child.kill('SIGKILL');
    await ended;
  }
  await site.remove();
});

interface Output {
  readonly child: ChildProcess;
  out: string;
  err: string;
}

function start(command: string, words: readonly string[], environment: NodeJS.ProcessEnv = {}): Output {
  const child = spawn(command, words, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, ...environment },
  });
  children.push(child);
  const output: Output = { child, out: '', err: '' };
  child.stdout.on('data', (bytes: Buffer) => {
    output.out += bytes.toString();
  });
  child.stderr.on('data', (bytes: Buffer) => {
    output.err += bytes.toString();
  });
  return output;
}

const portOf = ({ out }: Output) =>
  (
    out.split('\n').flatMap((line) => (line.includes('"msg":"ready"') ? [JSON.parse(line)] : []))[0] as {
      ports: { imap: number[] };
    }
  ).ports.imap[0] ?? 0;

/** What everybody on the machine may see of a process: arguments and the names of its threads. */
async function seen(pid: number): Promise<string> {
  const texts = ['cmdline', 'comm', 'status'].map((name) => readFile(`/proc/${pid}/${name}`, 'utf8'));
  return (await Promise.all(texts)).join('\n');
}

describe('S-41: what others on the machine see', () => {
  it('of a gateway that runs is no secret', async () => {
    const gateway = start(process.execPath, [program, 'serve', '--config', site.configFile]);
    await until(() => gateway.out.includes('"msg":"ready"'));
    const shown = await seen(gateway.child.pid ?? 0);
    expect(shown).toContain('serve');
    const keys = JSON.parse(await readFile(join(site.folder, 'keys/keys.json'), 'utf8')) as Record<
      string,
      { key?: string }[]
    >;
    const roots = ['pepper', 'mac', 'seal'].flatMap((family) => keys[family] ?? []);
    expect(roots.length).toBeGreaterThanOrEqual(3);
    for (const secret of ['master secret', ...roots.map(({ key }) => key ?? '')]) {
      expect(shown).not.toContain(secret);
      expect(gateway.out).not.toContain(secret);
    }
  });

  it('of any command is none: no command takes a secret as an argument', async () => {
    const texts: string[] = [];
    const help = async (words: readonly string[]): Promise<string> => {
      const out: string[] = [];
      await run([...words, '--help'], {
        out: (line) => out.push(line),
        err: (line) => out.push(line),
        environment: {},
        signal: new AbortController().signal,
        now: Date.now,
      });
      return out.join('\n');
    };
    const walk = async (words: readonly string[]): Promise<void> => {
      const text = await help(words);
      texts.push(text);
      const [listed = ''] = (text.split(/^Commands:$/m)[1] ?? '').split('\n\n');
      for (const [, name = ''] of listed.matchAll(/^ {2}([a-z][a-z-]*)/gm)) {
        if (name !== 'help') await walk([...words, name]);
      }
    };
    await walk([]);
    // Placeholders of options and arguments: `--label <text>`, `<address>`.
    const taken = texts.flatMap((text) =>
      [...text.matchAll(/[<[]([a-z][a-z-]*)(?:\.\.\.)?[>\]]/gi)].map((match) => match[1] ?? ''),
    );
    expect(texts.length).toBeGreaterThan(25);
    expect(taken).toContain('address');
    expect(taken.filter((name) => /secret|password|seed|token|key|code|pin/i.test(name))).toEqual([]);
  });
});

describe('S-42: the process', () => {
  it('writes no environment into a report, also where it was started without the flags', async () => {
    const file = join(site.folder, 'report.json');
    const hook = join(site.folder, 'hook.mjs');
    await writeFile(
      hook,
      `import { writeFileSync } from 'node:fs';
       process.on('exit', () => writeFileSync(${JSON.stringify(file)}, JSON.stringify(process.report.getReport())));`,
    );
    const report = async (words: readonly string[]) => {
      const { child } = start(process.execPath, ['--import', hook, ...words], {
        REDIS_PASSWORD: 'from the environment',
      });
      await once(child, 'close');
      return await readFile(file, 'utf8');
    };
    expect(await report(['--eval', '0'])).toContain('from the environment');
    expect(await report([join(root, 'bin/sallyport.js'), 'no-such-command'])).not.toContain(
      'from the environment',
    );
  });

  it('opens no debugger on SIGUSR1, writes no memory image, and goes on', async () => {
    const gateway = start(join(root, 'scripts/sallyport'), ['serve', '--config', site.configFile], {
      NODE_OPTIONS: '--title=from-the-environment',
    });
    await until(() => gateway.out.includes('"msg":"ready"') || gateway.child.exitCode !== null);
    const { pid = 0 } = gateway.child;
    const limits = await readFile(`/proc/${pid}/limits`, 'utf8');
    expect(limits).toMatch(/^Max core file size +0 +0 /m);
    expect(await readFile(`/proc/${pid}/cmdline`, 'utf8')).toContain(
      '--disable-sigusr1\0--report-exclude-env',
    );
    gateway.child.kill('SIGUSR1');
    const client = await LineClient.connect(portOf(gateway), site.ca);
    expect(await client.line()).toMatch(/^\* OK /);
    client.close();
    expect(gateway.err).not.toMatch(/Debugger|inspector/i);
    expect(gateway.child.exitCode).toBeNull();
  });
});
