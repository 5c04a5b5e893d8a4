import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { stringify } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { profileCertificate } from '../../src/config/profile-signing.ts';
import { makeThrowAwayCertificates } from '../../src/demo/certificates.ts';
import { makeScratchFolder, type ScratchFolder } from '../../src/demo/scratch-folder.ts';

const run = promisify(execFile);

describe('portal.profile_signing', () => {
  let scratch: ScratchFolder;
  let certificates: Awaited<ReturnType<typeof makeThrowAwayCertificates>>;
  const at = (name: string) => join(scratch.path, name);

  beforeAll(async () => {
    scratch = await makeScratchFolder();
    certificates = await makeThrowAwayCertificates(scratch.path);
    const make = async (name: string, key: readonly string[]) =>
      await run('openssl', [
        ...['req', '-x509', '-days', '2', '-subj', '/CN=signer', '-noenc', ...key],
        ...['-keyout', at(`${name}.key`), '-out', at(`${name}.pem`)],
      ]);
    await make('rsa', ['-newkey', 'rsa:2048']);
    await make('ed25519', ['-newkey', 'ed25519']);
  });
  afterAll(async () => {
    await scratch.remove();
  });

  const load = async (portal: object) => {
    await writeFile(at('master'), 'master secret');
    const leg = { host: '127.0.0.1', port: 1, tls: 'none' };
    await writeFile(
      at('sallyport.yaml'),
      stringify({
        hostname: 'mail.example.com',
        state_dir: at('var'),
        keys_file: at('keys.json'),
        tls: { certificates: [{ cert: certificates.certFile, key: certificates.keyFile }] },
        listen: [{ door: 'imap', port: 993, tls: 'implicit' }],
        portal: { port: 8443, public_url: 'https://mail.example.com:8443', ...portal },
        backends: {
          office: {
            imap: leg,
            smtp: leg,
            login: { method: 'master', user: 'gateway', password_file: at('master') },
          },
        },
        domains: { 'example.com': { backend: 'office', sign_in: { method: 'imap' }, enrollment: 'open' } },
      }),
    );
    return await loadConfig(at('sallyport.yaml'), {});
  };
  const signerOf = async (portal: object) => {
    const loaded = await load(portal);
    if (loaded.kind === 'invalid') throw new Error(loaded.problems.join('\n'));
    return profileCertificate(loaded.config, loaded.secrets)?.cert ?? null;
  };

  it('is the certificate of the pages where nothing is said, and nothing behind a web proxy', async () => {
    expect(await signerOf({})).toEqual(await readFile(certificates.certFile));
    expect(await signerOf({ tls: 'none' })).toBeNull();
    expect(await signerOf({ profile_signing: 'none' })).toBeNull();
  });

  it('is another certificate where one is given, also behind a web proxy', async () => {
    const profile_signing = { cert: at('rsa.pem'), key: at('rsa.key') };
    expect(await signerOf({ tls: 'none', profile_signing })).toEqual(await readFile(at('rsa.pem')));
  });

  it.each([
    ['ed25519.pem', 'ed25519.key', /^portal\.profile_signing: needs an RSA or an ECDSA key$/],
    ['rsa.pem', 'ed25519.key', /^portal\.profile_signing: the key does not belong to the certificate$/],
    ['nowhere.pem', 'rsa.key', /^portal\.profile_signing\.cert: .*nowhere\.pem: there is no such file$/],
    ['master', 'rsa.key', /^portal\.profile_signing: is not a PEM certificate and key/],
  ])('refuses %s with %s', async (cert, key, problem) => {
    const loaded = await load({ profile_signing: { cert: at(cert), key: at(key) } });
    if (loaded.kind === 'loaded') throw new Error('it was taken');
    expect(loaded.problems).toEqual([expect.stringMatching(problem)]);
  });
});
