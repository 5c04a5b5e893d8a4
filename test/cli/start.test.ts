import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';

const root = resolve(import.meta.dirname, '../..');
const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

function start(nodeArguments: readonly string[], words: readonly string[]): ChildProcess {
  const child = spawn(process.execPath, [...nodeArguments, join(root, 'bin/sallyport.js'), ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH },
  });
  children.push(child);
  return child;
}

async function ended(child: ChildProcess): Promise<{ code: number | null; err: string }> {
  let err = '';
  child.stderr?.on('data', (bytes: Buffer) => {
    err += bytes.toString();
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, err };
}

describe('bin/sallyport.js', () => {
  it('on an older Node says one clear line and imports nothing native', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sallyport-start-'));
    const pretend = join(folder, 'pretend.mjs');
    // Node 20 dies of the native modules; were one imported after this, the exit code would not be ours.
    await writeFile(
      pretend,
      `import { registerHooks } from 'node:module';
       Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.20.2' } });
       Object.defineProperty(process, 'version', { value: 'v20.20.2' });
       registerHooks({ resolve: (name, context, next) => {
         if (name.includes('dist/') || name.includes('argon2')) process.exit(99);
         return next(name, context);
       } });`,
    );
    const { code, err } = await ended(start(['--import', pretend], ['serve']));
    await rm(folder, { recursive: true });
    expect(code).toBe(78);
    expect(err).toBe('sallyport needs Node 24 or newer; this is v20.20.2. Run scripts/setup to get one.\n');
  });

  it('answers wrong usage with exit 2', async () => {
    const { code, err } = await ended(start([], ['no-such-command']));
    expect({ code, err }).toEqual({ code: 2, err: expect.stringMatching(/unknown command/) });
  });
});
