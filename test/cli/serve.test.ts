import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { makeThrowAwayCertificates } from '../../src/demo/certificates.ts';
import { LineClient } from '../support/line-client.ts';
import { makeSite, type Site } from './site.ts';

let site: Site;
let child: ChildProcess | null = null;
beforeEach(async () => {
  site = await makeSite({ log_level: 'info' });
  await site.command('keys', 'init');
});
afterEach(async () => {
  child?.kill('SIGKILL');
  await site.remove();
});

interface LogLine {
  readonly msg: string;
  readonly ports?: { readonly imap: readonly number[] };
}

/** `serve` as a process of its own, and its log one line at a time. */
function serve() {
  const program = join(import.meta.dirname, '../../src/cli/index.ts');
  const started = spawn(process.execPath, [program, 'serve', '--config', site.configFile], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  child = started;
  const lines = createInterface({ input: started.stdout })[Symbol.asyncIterator]();
  const logged = async (message: string): Promise<LogLine> => {
    for (;;) {
      const { value, done } = await lines.next();
      if (done === true) throw new Error(`ended without "${message}"`);
      const line = JSON.parse(value) as LogLine;
      if (line.msg === message) return line;
    }
  };
  return { process: started, logged };
}

describe('sallyport serve', () => {
  it('SIGHUP takes new certificates, a broken configuration stops nothing, SIGTERM drains', async () => {
    const gateway = serve();
    const port = (await gateway.logged('ready')).ports?.imap[0] ?? 0;
    const before = await LineClient.connect(port, site.ca);
    expect(await before.line()).toMatch(/^\* OK /);

    const { ca } = await makeThrowAwayCertificates(site.folder);
    gateway.process.kill('SIGHUP');
    await gateway.logged('certificates, aliases and keys reloaded');
    const after = await LineClient.connect(port, ca);
    expect(await after.line()).toMatch(/^\* OK /);

    await writeFile(site.configFile, 'hostname: [');
    gateway.process.kill('SIGHUP');
    await gateway.logged('configuration not reloaded');
    expect(await after.imap('a', 'NOOP')).toEqual(['a OK NOOP completed.']);

    const ended = once(gateway.process, 'close');
    gateway.process.kill('SIGTERM');
    expect(await before.line()).toBe('* BYE [UNAVAILABLE] Server shutting down.');
    await gateway.logged('stopped');
    expect(await ended).toEqual([0, null]);
  });
});
