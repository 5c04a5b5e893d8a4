import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { errorCode, errorText } from '../observability/error-text.ts';
import { Secret } from '../secret.ts';
import { isLoopback } from './loopback.ts';
import type { Config } from './schema.ts';

/** A certificate chain and its key, PEM, as read from the files the configuration names. */
export interface CertificateFiles {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** What the configuration refers to and must not print. Kept apart, so that a Config can be shown whole. */
export interface Secrets {
  /** By backend name. */
  readonly masterPasswords: ReadonlyMap<string, Secret>;
  readonly redisPassword: Secret | null;
  readonly certificates: readonly CertificateFiles[];
  /** PEM of each `ca_file`, by its path as configured. */
  readonly authorities: ReadonlyMap<string, Buffer>;
}

/** Reads every file the settings name; what cannot be read or used is added to `problems`. */
export async function readSecrets(
  config: Config,
  literalPasswords: ReadonlyMap<string, Secret>,
  passwordFiles: ReadonlyMap<string, string>,
  redisUrl: string | undefined,
  problems: string[],
): Promise<Secrets> {
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
  const certificates: CertificateFiles[] = [];
  for (const [index, { cert, key }] of config.tls.certificates.entries()) {
    const setting = `tls.certificates.${index}`;
    const files = [
      await readSetting(`${setting}.cert`, cert, problems),
      await readSetting(`${setting}.key`, key, problems),
    ];
    const [certPem, keyPem] = files;
    if (certPem == null || keyPem == null) continue;
    const mismatch = certificateProblem(certPem, keyPem);
    if (mismatch !== null) problems.push(`${setting}: ${mismatch}`);
    else certificates.push({ cert: certPem, key: keyPem });
  }
  const authorities = new Map<string, Buffer>();
  const caFiles: [string, string | null][] = [['redis.ca_file', config.redis?.caFile ?? null]];
  for (const [name, backend] of Object.entries(config.backends)) {
    caFiles.push([`backends.${name}.imap.ca_file`, backend.imap.caFile]);
    caFiles.push([`backends.${name}.smtp.ca_file`, backend.smtp.caFile]);
  }
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
  const password =
    redisUrl !== undefined && URL.canParse(redisUrl) ? decodeURIComponent(new URL(redisUrl).password) : '';
  if (config.redis !== null && !isLoopback(config.redis.url.hostname) && password === '') {
    problems.push('redis.url: a Redis that is not on this host needs a password');
  }
  return {
    masterPasswords,
    redisPassword: password === '' ? null : Secret.fromText(password),
    certificates,
    authorities,
  };
}

/** The file's bytes, or null and a problem under the setting's name. */
export async function readSetting(setting: string, file: string, problems: string[]): Promise<Buffer | null> {
  try {
    return await readFile(file);
  } catch (error) {
    problems.push(`${setting}: ${file}: ${fileProblem(error)}`);
    return null;
  }
}

function certificateProblem(cert: Buffer, key: Buffer): string | null {
  try {
    const certificate = new X509Certificate(cert);
    return certificate.checkPrivateKey(createPrivateKey(key))
      ? null
      : 'the key does not belong to the certificate';
  } catch (error) {
    return `is not a PEM certificate and key: ${fileProblem(error)}`;
  }
}

/** Why a file could not be read, in an operator's words. */
export function fileProblem(error: unknown): string {
  switch (errorCode(error)) {
    case 'ENOENT':
      return 'there is no such file';
    case 'EACCES':
      return 'may not be read';
    default:
      return errorText(error);
  }
}
