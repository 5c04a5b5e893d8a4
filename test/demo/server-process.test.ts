import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { makeThrowAwayCertificates } from '../../src/demo/certificates.ts';
import { findProgram } from '../../src/demo/program.ts';
import { makeScratchFolder, type ScratchFolder } from '../../src/demo/scratch-folder.ts';
import { startServerProcess } from '../../src/demo/server-process.ts';
import { processesOf } from '../support/processes.ts';
import { until } from '../support/until.ts';

/** Starts all three servers in the folder of its first argument, says so, and stays. */
const owner = `
import { startDovecot } from './src/demo/dovecot.ts';
import { startPostfix } from './src/demo/postfix.ts';
import { startRedis } from './test/support/redis.ts';
const folder = process.argv[1];
const certificate = { cert: folder + '/mail.pem', key: folder + '/mail.key' };
const users = { 'alice@example.com': 'x' };
const dovecot = await startDovecot({ folder, users, master: { user: 'gateway', password: 'x' }, certificate });
await startPostfix({ folder, users: Object.keys(users), dovecot, certificate });
await startRedis({ folder });
console.log('started');
setInterval(() => {}, 60_000);
`;

describe('server process', () => {
  let scratch: ScratchFolder;

  beforeAll(async () => {
    scratch = await makeScratchFolder();
  });
  afterAll(() => scratch.remove());

  it('does not outlive its owner, however that ends', async () => {
    await makeThrowAwayCertificates(scratch.path);
    const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', owner, scratch.path], {
      cwd: join(import.meta.dirname, '../..'),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    // The programs whose command line names the folder, and the keepers.
    expect(processesOf(scratch.path).length).toBeGreaterThanOrEqual(4);
    child.kill('SIGKILL');
    await once(child, 'exit');
    await until(() => processesOf(scratch.path).length === 0);
  });

  it('says why a server did not start', async () => {
    const refused = startServerProcess({
      program: 'redis-server',
      args: ['--port', 'not-a-port'],
      logFile: join(scratch.path, 'refused.log'),
      greetings: [{ port: 1, greeting: '' }],
    });
    await expect(refused).rejects.toThrow(/redis-server did not start:.*not-a-port/s);
  });

  it('names the remedy where a program is missing', () => {
    expect(() => findProgram('no-such-program')).toThrow(
      'no-such-program is not installed; run scripts/setup',
    );
  });
});
