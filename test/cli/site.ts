import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { run } from '../../src/cli/program.ts';
import { makeThrowAwayCertificates } from '../../src/demo/certificates.ts';

export type Site = Awaited<ReturnType<typeof makeSite>>;

/** A configuration in a folder of its own, whose backend nothing listens on, and the commands on it. */
export async function makeSite(overrides: Readonly<Record<string, unknown>> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-cli-'));
  const { certFile, keyFile, ca } = await makeThrowAwayCertificates(folder);
  await writeFile(join(folder, 'master'), 'master secret');
  const configFile = join(folder, 'sallyport.yaml');
  const leg = { host: '127.0.0.1', port: 1, tls: 'none' };
  await writeFile(
    configFile,
    stringify({
      hostname: 'mail.example.com',
      state_dir: join(folder, 'var'),
      default_domain: 'example.com',
      keys_file: join(folder, 'keys/keys.json'),
      tls: { certificates: [{ cert: certFile, key: keyFile }] },
      listen: [{ door: 'imap', host: '127.0.0.1', port: 0, tls: 'implicit' }],
      portal: { host: '127.0.0.1', port: 0, public_url: 'https://mail.example.com' },
      database: { url: `sqlite:${join(folder, 'var/sallyport.db')}` },
      backends: {
        office: {
          imap: leg,
          smtp: leg,
          login: { method: 'master', user: 'gateway', password_file: join(folder, 'master') },
        },
      },
      domains: { 'example.com': { backend: 'office', sign_in: { method: 'imap' }, enrollment: 'open' } },
      log_level: 'error',
      ...overrides,
    }),
  );
  const command = async (...words: string[]): Promise<{ code: number; out: string; err: string }> => {
    const out: string[] = [];
    const err: string[] = [];
    const code = await run([...words, '--config', configFile], {
      out: (line) => out.push(line),
      err: (line) => err.push(line),
      environment: {},
      signal: new AbortController().signal,
      now: Date.now,
    });
    return { code, out: out.join('\n'), err: err.join('\n') };
  };
  return {
    folder,
    configFile,
    ca,
    databaseFile: join(folder, 'var/sallyport.db'),
    markFile: join(folder, 'var/high-water'),
    command,
    /** What a command that must succeed prints as JSON. */
    dataOf: async (...words: string[]): Promise<unknown> => {
      const { code, out, err } = await command(...words, '--json');
      if (code !== 0) throw new Error(err);
      return JSON.parse(out);
    },
    remove: async () => await rm(folder, { recursive: true }),
  };
}
