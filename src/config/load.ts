import { readFile } from 'node:fs/promises';
import { dirname, relative, resolve } from 'node:path';
import { parseDocument } from 'yaml';
import { Secret } from '../secret.ts';
import { readCanarySecrets } from './canary-secrets.ts';
import { checkListeners } from './listen-check.ts';
import { isLoopback } from './loopback.ts';
import { readWebhookSecret } from './notices-secrets.ts';
import { checkOidc } from './oidc-check.ts';
import { withoutClientSecrets } from './oidc-schema.ts';
import { readOidcSecrets } from './oidc-secrets.ts';
import { readProfileSigning } from './profile-signing.ts';
import { withoutPasswords } from './redis-schema.ts';
import { readRedisSecrets } from './redis-secrets.ts';
import { type Backend, type Config, configSchema } from './schema.ts';
import { checkEnrollment } from './second-factors-schema.ts';
import { readSecrets, type Secrets } from './secrets.ts';
import { fileProblem, readSetting } from './setting-file.ts';

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
export async function loadConfig(
  file: string,
  environment: NodeJS.ProcessEnv,
  now: () => number = Date.now,
): Promise<LoadedConfig> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    return { kind: 'invalid', problems: [`${file}: ${fileProblem(error)}`] };
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
  const { config: settings, literalPasswords, passwordFiles, databasePassword } = separate(parsed.data);
  const warnings = crossCheck(settings, literalPasswords, problems);
  const secrets = await readSecrets(
    settings,
    literalPasswords,
    passwordFiles,
    databasePassword,
    { problems, warnings },
    new Date(now()),
  );
  const redisSecrets = await readRedisSecrets(parsed.data.redis, { problems, warnings });
  const canary = await readCanarySecrets(settings, { problems, warnings });
  const webhookSecret = await readWebhookSecret(settings, { problems, warnings });
  const oidcProofs = await readOidcSecrets(parsed.data.oidc, { problems, warnings });
  const profileSigning = await readProfileSigning(settings, { problems, warnings }, new Date(now()));
  return problems.length > 0
    ? { kind: 'invalid', problems }
    : {
        kind: 'loaded',
        config: settings,
        secrets: { ...secrets, ...redisSecrets, canary, webhookSecret, oidcProofs, profileSigning },
        warnings,
      };
}

/** Where the shape is wrong, the files that were named are looked at all the same: one run of `check`, one list. */
async function checkNamedFiles(value: unknown, path: string, problems: string[]): Promise<void> {
  if (typeof value !== 'object' || value === null) return;
  for (const [key, item] of Object.entries(value)) {
    const setting = path === '' ? key : `${path}.${key}`;
    if (typeof item !== 'string') await checkNamedFiles(item, setting, problems);
    else if (
      /^(cert|key|ca_file|(?:sentinel_|app_|main_|revoked_)?password_file|client_secret_file|secret_file|private_key_file|aliases_file)$/.test(
        key,
      )
    )
      await readSetting(setting, item, problems);
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
function separate(data: ReturnType<typeof configSchema.parse>) {
  const literalPasswords = new Map<string, Secret>();
  const passwordFiles = new Map<string, string>();
  const backends: Record<string, Backend> = {};
  for (const [name, { login, ...backend }] of Object.entries(data.backends)) {
    if (login.password !== null) literalPasswords.set(name, Secret.fromText(login.password));
    if (login.passwordFile !== null) passwordFiles.set(name, login.passwordFile);
    backends[name] = { ...backend, name, login: { method: login.method, user: login.user } };
  }
  const { password, passwordFile, ...database } = data.database;
  const redis = data.redis === null ? null : withoutPasswords(data.redis);
  const config: Config = { ...data, backends, oidc: withoutClientSecrets(data.oidc), database, redis };
  return { config, literalPasswords, passwordFiles, databasePassword: { password, passwordFile } };
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
  }
  if (Object.keys(config.domains).length === 0) problems.push('domains: at least one domain is needed');
  if (config.defaultDomain !== null && !Object.hasOwn(config.domains, config.defaultDomain)) {
    problems.push(`default_domain: ${config.defaultDomain} is not among domains`);
  }
  for (const [name, backend] of Object.entries(config.backends)) {
    for (const leg of ['imap', 'smtp', 'pop3'] as const) {
      const endpoint = backend[leg];
      // S-45: one master password seen on the wire opens every mailbox.
      if (endpoint !== null && endpoint.tls === 'none' && !isLoopback(endpoint.host)) {
        problems.push(
          `backends.${name}.${leg}.tls: none would send the master password in clear to ${endpoint.host}`,
        );
      }
    }
    if (backend.pop3 === null && config.listen.some((listen) => listen.door === 'pop3')) {
      problems.push(`backends.${name}.pop3: is needed, because listen has a pop3 door`);
    }
    if (literalPasswords.has(name)) {
      warnings.push(`backends.${name}.login.password: stands in the configuration; prefer password_file`);
    }
  }
  if (config.portal.tls === 'none') {
    warnings.push(
      'portal.tls: behind a web proxy the portal cannot count by network; limit requests and sign-ins there',
    );
  }
  // S-37: one backup must not hold the database and the keys that open it.
  const embedded = config.database.engine === 'sqlite' ? [dirname(config.database.file)] : [];
  for (const folder of [config.stateDir, ...embedded]) {
    if (relative(resolve(folder), resolve(config.keysFile)).startsWith('..')) continue;
    problems.push(
      `keys_file: must not lie under ${folder}, so that one backup never holds both database and keys`,
    );
    break;
  }
  checkListeners(config, { problems, warnings });
  checkEnrollment(config, { problems, warnings });
  checkOidc(config, { problems, warnings });
  return warnings;
}
