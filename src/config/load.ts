import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { dirname, relative, resolve } from 'node:path';
import { parseDocument } from 'yaml';
import { errorCode, errorText } from '../observability/error-text.ts';
import { Secret } from '../secret.ts';
import { type Backend, type Config, configSchema } from './schema.ts';

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

export type LoadedConfig =
  | {
      readonly kind: 'loaded';
      readonly config: Config;
      readonly secrets: Secrets;
      readonly warnings: readonly string[];
    }
  /** Every problem at once, each beginning with the path of its setting. */
  | { readonly kind: 'invalid'; readonly problems: readonly string[] };

/**
 * Reads the YAML file, fills `${env:NAME}`, checks it against the schema and against itself, and reads every file it
 * names. Relative paths count from the working directory. Never throws for what a file may hold.
 */
export async function loadConfig(file: string, environment: NodeJS.ProcessEnv): Promise<LoadedConfig> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    return { kind: 'invalid', problems: [`${file}: ${reason(error)}`] };
  }
  const document = parseDocument(text, { prettyErrors: true });
  if (document.errors.length > 0) {
    return { kind: 'invalid', problems: document.errors.map((error) => `${file}: ${error.message}`) };
  }
  const problems: string[] = [];
  const raw = fillEnvironment(document.toJS() ?? {}, environment, '', problems);
  const parsed = configSchema.safeParse(raw);
  if (!parsed.success) {
    for (const issue of parsed.error.issues)
      problems.push(`${issue.path.join('.') || file}: ${issue.message}`);
    await checkNamedFiles(raw, '', problems);
    return { kind: 'invalid', problems };
  }
  const { config: settings, literalPasswords, passwordFiles } = separate(parsed.data, problems);
  const warnings = crossCheck(settings, literalPasswords, problems);
  const secrets = await readSecrets(
    settings,
    literalPasswords,
    passwordFiles,
    parsed.data.redis?.url,
    problems,
  );
  return problems.length > 0
    ? { kind: 'invalid', problems }
    : { kind: 'loaded', config: settings, secrets, warnings };
}

/** Where the shape is wrong, the files that were named are looked at all the same: one run of `check`, one list. */
async function checkNamedFiles(value: unknown, path: string, problems: string[]): Promise<void> {
  if (typeof value !== 'object' || value === null) return;
  for (const [key, item] of Object.entries(value)) {
    const setting = path === '' ? key : `${path}.${key}`;
    if (typeof item !== 'string') await checkNamedFiles(item, setting, problems);
    else if (/^(cert|key|ca_file|password_file)$/.test(key)) await readSetting(setting, item, problems);
  }
}

function fillEnvironment(
  value: unknown,
  environment: NodeJS.ProcessEnv,
  path: string,
  problems: string[],
): unknown {
  if (typeof value === 'string') {
    return value.replace(/\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}/g, (_, name: string) => {
      const found = environment[name];
      if (found === undefined) problems.push(`${path}: environment variable ${name} is not set`);
      return found ?? '';
    });
  }
  if (Array.isArray(value)) {
    return value.map((item, index) =>
      fillEnvironment(item, environment, `${path}${path && '.'}${index}`, problems),
    );
  }
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [
        key,
        fillEnvironment(item, environment, `${path}${path && '.'}${key}`, problems),
      ]),
    );
  }
  return value;
}

/** Takes what is secret out of the parsed file. */
function separate(data: ReturnType<typeof configSchema.parse>, problems: string[]) {
  const literalPasswords = new Map<string, Secret>();
  const passwordFiles = new Map<string, string>();
  const backends: Record<string, Backend> = {};
  for (const [name, { login, ...backend }] of Object.entries(data.backends)) {
    if (login.password !== null) literalPasswords.set(name, Secret.fromText(login.password));
    if (login.passwordFile !== null) passwordFiles.set(name, login.passwordFile);
    backends[name] = { ...backend, name, login: { method: login.method, user: login.user } };
  }
  let redis: Config['redis'] = null;
  if (data.redis !== null) {
    if (URL.canParse(data.redis.url)) {
      const url = new URL(data.redis.url);
      url.password = '';
      redis = { url, caFile: data.redis.caFile };
    } else {
      problems.push('redis.url: is not a URL');
    }
  }
  const config: Config = { ...data, backends, redis };
  return { config, literalPasswords, passwordFiles };
}

/** What the schema cannot see in one value. Answers warnings; problems go into `problems`. */
function crossCheck(
  config: Config,
  literalPasswords: ReadonlyMap<string, Secret>,
  problems: string[],
): string[] {
  const warnings: string[] = [];
  for (const [name, domain] of Object.entries(config.domains)) {
    if (!Object.hasOwn(config.backends, domain.backend)) {
      problems.push(`domains.${name}.backend: there is no backend "${domain.backend}"`);
    }
    if (domain.enrollment === 'open' && domain.mfa !== 'off') {
      warnings.push(
        `domains.${name}.enrollment: open lets whoever holds a leaked main password enroll the first second factor`,
      );
    }
  }
  if (Object.keys(config.domains).length === 0) problems.push('domains: at least one domain is needed');
  if (config.defaultDomain !== null && !Object.hasOwn(config.domains, config.defaultDomain)) {
    problems.push(`default_domain: ${config.defaultDomain} is not among domains`);
  }
  for (const [name, backend] of Object.entries(config.backends)) {
    for (const leg of ['imap', 'smtp'] as const) {
      // S-45: one master password seen on the wire opens every mailbox.
      if (backend[leg].tls === 'none' && !isLoopback(backend[leg].host)) {
        problems.push(
          `backends.${name}.${leg}.tls: none would send the master password in clear to ${backend[leg].host}`,
        );
      }
    }
    if (literalPasswords.has(name)) {
      warnings.push(`backends.${name}.login.password: stands in the configuration; prefer password_file`);
    }
  }
  if (
    config.redis !== null &&
    !isLoopback(config.redis.url.hostname) &&
    config.redis.url.protocol !== 'rediss:'
  ) {
    problems.push('redis.url: a Redis that is not on this host needs rediss:// and a password');
  }
  // S-37: one backup must not hold the database and the keys that open it.
  for (const folder of [config.stateDir, dirname(config.database.file)]) {
    if (relative(resolve(folder), resolve(config.keysFile)).startsWith('..')) continue;
    problems.push(
      `keys_file: must not lie under ${folder}, so that one backup never holds both database and keys`,
    );
    break;
  }
  const used = new Map<string, string>();
  for (const [place, { host, port }] of listeners(config)) {
    if (port === 0) continue;
    const earlier = used.get(`${host}:${port}`);
    if (earlier !== undefined) problems.push(`${place}: port ${port} is taken by ${earlier}`);
    used.set(`${host}:${port}`, place);
  }
  return warnings;
}

function listeners(config: Config): [string, { host: string; port: number }][] {
  const all: [string, { host: string; port: number }][] = config.listen.map((listen, index) => [
    `listen.${index}`,
    listen,
  ]);
  all.push(['portal', config.portal]);
  if (config.metrics !== null) all.push(['metrics', config.metrics]);
  return all;
}

function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, '');
  return bare === 'localhost' || bare === '::1' || (isIP(bare) === 4 && bare.startsWith('127.'));
}

async function readSecrets(
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

async function readSetting(setting: string, file: string, problems: string[]): Promise<Buffer | null> {
  try {
    return await readFile(file);
  } catch (error) {
    problems.push(`${setting}: ${file}: ${reason(error)}`);
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
    return `is not a PEM certificate and key: ${reason(error)}`;
  }
}

function reason(error: unknown): string {
  switch (errorCode(error)) {
    case 'ENOENT':
      return 'there is no such file';
    case 'EACCES':
      return 'may not be read';
    default:
      return errorText(error);
  }
}
