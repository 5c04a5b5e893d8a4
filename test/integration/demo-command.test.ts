import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, it } from '@jest/globals';
import { startDemoSite } from '../../src/demo/site.ts';
import { tryDemoSite } from '../../src/demo/trial.ts';
import { runMailProgram } from '../support/mail-program.ts';
import { processesOf } from '../support/processes.ts';
import { until } from '../support/until.ts';

const root = join(import.meta.dirname, '../..');
const running: ChildProcess[] = [];
afterEach(() => {
  for (const child of running.splice(0)) child.kill('SIGKILL');
});

/** As scripts/sallyport starts it, but from the sources. */
function startDemo(words: readonly string[] = [], environment = process.env): ChildProcess {
  const [, flags] =
    /^exec node (.*) "\$root\/bin/m.exec(readFileSync(join(root, 'scripts/sallyport'), 'utf8')) ?? [];
  const args = [...(flags ?? '').split(' '), join(root, 'src/cli/index.ts'), 'demo', ...words];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], env: environment });
  running.push(child);
  return child;
}

describe('sallyport demo', () => {
  it('--try does every step and ends well', async () => {
    const child = startDemo(['--try']);
    const [output, errors, [code]] = await Promise.all([
      child.stdout === null ? '' : text(child.stdout),
      child.stderr === null ? '' : text(child.stderr),
      once(child, 'exit'),
    ]);
    expect({ code, errors }).toEqual({ code: 0, errors: '' });
    const lines = output.trimEnd().split('\n');
    expect(lines).toHaveLength(8);
    expect(lines.filter((line) => !line.startsWith('ok  '))).toEqual([]);
  });

  it('--try stops at the first surprise and says what it was', async () => {
    const site = await startDemoSite();
    const lines: string[] = [];
    try {
      await site.gateway.stop();
      expect(await tryDemoSite(site, (line) => lines.push(line))).toBe(false);
    } finally {
      await site.stop();
    }
    expect(lines).toEqual([
      expect.stringMatching(/^FAILED {2}a mail is read over IMAPS with the app password: /),
    ]);
  });

  it('cleans up when nobody reads its output any more', async () => {
    const scratch = await mkdtemp(join(tmpdir(), 'sallyport-demo-'));
    // The mail servers run as users of their own.
    await chmod(scratch, 0o755);
    const child = startDemo(['--try'], { ...process.env, TMPDIR: scratch });
    if (child.stdout === null) throw new Error('no output to read');
    await once(child.stdout, 'data');
    child.stdout.destroy();
    await once(child, 'exit');
    expect(await readdir(scratch)).toEqual([]);
    await rm(scratch, { recursive: true });
  });

  it('prints commands that work as they stand, takes no debugger, and leaves nothing', async () => {
    const child = startDemo();
    let output = '';
    let errors = '';
    child.stdout?.on('data', (bytes: Buffer) => {
      output += bytes.toString();
    });
    child.stderr?.on('data', (bytes: Buffer) => {
      errors += bytes.toString();
    });
    await until(() => output.includes('Ctrl-C') || child.exitCode !== null);
    const commands = output.split('\n').filter((line) => line.startsWith('  curl '));
    const [read = '', send = '', refused = ''] = commands;
    const shell = (command: string) =>
      runMailProgram('sh', ['-c', command.replace('curl ', 'curl --max-time 20 ')]);
    expect((await shell(read)).stdout).toContain('Subject: Read through the gateway\r\n');
    expect(await shell(send)).toMatchObject({ code: 0 });
    await until(async () =>
      (await shell(read.replace('MAILINDEX=1', 'MAILINDEX=2'))).stdout.includes('Sent through'),
    );
    expect(await shell(refused)).toMatchObject({
      code: 67,
      stderr: expect.stringContaining('NO [AUTHENTICATIONFAILED] Application-specific password required'),
    });

    // S-42: on this signal Node would else open its debugger to everybody on the machine.
    child.kill('SIGUSR1');
    const folder = dirname(/--cacert (\S+)/.exec(read)?.[1] ?? '');
    expect(existsSync(folder)).toBe(true);
    expect(processesOf(folder)).not.toEqual([]);
    child.kill('SIGINT');
    // `node --watch` sends one more, which must not end it before it has cleaned up.
    setTimeout(() => child.kill('SIGINT'), 30);
    const [code] = await once(child, 'exit');
    expect({ code, errors }).toEqual({ code: 0, errors: '' });
    expect(existsSync(folder)).toBe(false);
    expect(processesOf(folder)).toEqual([]);
  });
});
