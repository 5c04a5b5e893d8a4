import { X509Certificate } from 'node:crypto';
import { Secret } from '../secret.ts';
import type { CanarySecrets } from './canary-secrets.ts';
import type { CertificateFiles } from './certificate.ts';
import type { OidcClientProof } from './oidc-secrets.ts';
import { type Findings, readCertificates } from './read-certificates.ts';
import type { RedisSecrets } from './redis-secrets.ts';
import type { Config } from './schema.ts';
import { readSetting } from './setting-file.ts';

export type { CertificateFiles };

/** What the configuration refers to and must not print. Kept apart, so that a Config can be shown whole. */
export interface Secrets extends RedisSecrets {
  /** By backend name. */
  readonly masterPasswords: ReadonlyMap<string, Secret>;
  readonly databasePassword: Secret | null;
  readonly canary: CanarySecrets | null;
  /** Signs the webhook's messages; null where there is none. */
  readonly webhookSecret: Secret | null;
  /** By name of the identity provider. */
  readonly oidcProofs: ReadonlyMap<string, OidcClientProof>;
  /** `tls.certificates`: the portal's, and those of every listener without its own. */
  readonly certificates: readonly CertificateFiles[];
  /** Of each entry of `listen`, in its order. */
  readonly listenCertificates: readonly (readonly CertificateFiles[])[];
  /** `portal.profile_signing`, where that names files. */
  readonly profileSigning: CertificateFiles | null;
  /** PEM of each `ca_file`, by its path as configured. */
  readonly authorities: ReadonlyMap<string, Buffer>;
}

/** Reads every file the settings name; what cannot be read or used is added to the problems. */
export async function readSecrets(
  config: Config,
  literalPasswords: ReadonlyMap<string, Secret>,
  passwordFiles: ReadonlyMap<string, string>,
  databasePassword: { readonly password: string | null; readonly passwordFile: string | null },
  findings: Findings,
  now: Date,
): Promise<Omit<Secrets, 'canary' | 'webhookSecret' | 'oidcProofs' | 'profileSigning' | keyof RedisSecrets>> {
  const { problems } = findings;
  const masterPasswords = new Map(literalPasswords);
  for (const [name, file] of passwordFiles) {
    const setting = `backends.${name}.login.password_file`;
    const content = await readSetting(setting, file, problems);
    if (content === null) continue;
    const password = content.toString('utf8').replace(/\r?\n$/, '');
    if (password === '') problems.push(`${setting}: ${file} is empty`);
    else masterPasswords.set(name, Secret.fromText(password));
  }
  for (const [name, password] of masterPasswords) {
    // No SASL message can carry one, and every login would fail for it.
    if (password.bytes().some((byte) => byte < 0x20 || byte === 0x7f)) {
      problems.push(`backends.${name}.login: the password holds a control character or a second line`);
    }
  }
  const { certificates: shared } = config.tls;
  const certificates = await readCertificates('tls.certificates', shared, findings, now);
  const listenCertificates: (readonly CertificateFiles[])[] = [];
  for (const [index, { certificates: own }] of config.listen.entries()) {
    listenCertificates.push(
      own === null
        ? certificates
        : await readCertificates(`listen.${index}.certificates`, own, findings, now),
    );
  }
  const authorities = new Map<string, Buffer>();
  const caFiles: [string, string | null][] = [
    ['redis.ca_file', config.redis?.caFile ?? null],
    ['database.ca_file', config.database.engine === 'postgres' ? config.database.caFile : null],
  ];
  for (const [name, backend] of Object.entries(config.backends)) {
    caFiles.push([`backends.${name}.imap.ca_file`, backend.imap.caFile]);
    caFiles.push([`backends.${name}.smtp.ca_file`, backend.smtp.caFile]);
    caFiles.push([`backends.${name}.pop3.ca_file`, backend.pop3?.caFile ?? null]);
  }
  for (const [name, { caFile }] of Object.entries(config.oidc))
    caFiles.push([`oidc.${name}.ca_file`, caFile]);
  caFiles.push(['notices.webhook.ca_file', config.notices.webhook?.caFile ?? null]);
  for (const [setting, file] of caFiles) {
    if (file === null || authorities.has(file)) continue;
    const pem = await readSetting(setting, file, problems);
    if (pem === null) continue;
    try {
      new X509Certificate(pem);
      authorities.set(file, pem);
    } catch {
      problems.push(`${setting}: ${file} holds no certificate`);
    }
  }
  return {
    masterPasswords,
    databasePassword: await readDatabasePassword(databasePassword, problems),
    certificates,
    listenCertificates,
    authorities,
  };
}

async function readDatabasePassword(
  { password, passwordFile }: { readonly password: string | null; readonly passwordFile: string | null },
  problems: string[],
): Promise<Secret | null> {
  if (passwordFile === null) return password === null ? null : Secret.fromText(password);
  const content = await readSetting('database.password_file', passwordFile, problems);
  if (content === null) return null;
  const text = content.toString('utf8').replace(/\r?\n$/, '');
  if (text !== '') return Secret.fromText(text);
  problems.push(`database.password_file: ${passwordFile} is empty`);
  return null;
}
