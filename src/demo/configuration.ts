import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { createKeyFile } from '../credentials/key-file.ts';
import { freePort } from './free-port.ts';
import type { MailSite } from './mail-site.ts';

/** Top-level settings that replace the demo's own. */
export type SettingOverrides = Readonly<Record<string, unknown>>;

/**
 * Writes `sallyport.yaml` and the key file for a gateway in front of the site, everything in the site's folder, all
 * ports free ones of 127.0.0.1. Answers the file's path.
 */
export async function writeConfiguration(site: MailSite, overrides: SettingOverrides = {}): Promise<string> {
  const inFolder = (name: string): string => join(site.folder, name);
  const portal = await freePort();
  const settings = {
    hostname: 'mail.example.com',
    default_domain: 'example.com',
    state_dir: inFolder('state'),
    keys_file: inFolder('keys.json'),
    tls: { certificates: [{ cert: site.certificates.certFile, key: site.certificates.keyFile }] },
    listen: [
      { door: 'imap', host: '127.0.0.1', port: await freePort(), tls: 'implicit' },
      { door: 'smtp', host: '127.0.0.1', port: await freePort(), tls: 'implicit' },
    ],
    portal: { host: '127.0.0.1', port: portal, public_url: `https://localhost:${portal}` },
    metrics: { host: '127.0.0.1', port: await freePort() },
    database: { url: `sqlite:${inFolder('state/sallyport.db')}` },
    backends: {
      demo: {
        imap: { host: 'localhost', port: site.imaps, tls: 'implicit', ca_file: site.certificates.caFile },
        smtp: { host: '127.0.0.1', port: site.submission, tls: 'none' },
        pop3: { host: 'localhost', port: site.pop3s, tls: 'implicit', ca_file: site.certificates.caFile },
        login: { method: 'master', user: site.master.user, password_file: site.master.passwordFile },
        forward: { imap_id: true, xclient: true },
      },
    },
    domains: {
      'example.com': { backend: 'demo', sign_in: { method: 'imap' }, mfa: 'required', enrollment: 'open' },
    },
    ...overrides,
  };
  const file = inFolder('sallyport.yaml');
  await writeFile(file, stringify(settings));
  await createKeyFile(settings.keys_file, Date.now());
  return file;
}
