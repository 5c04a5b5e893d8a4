import { once } from 'node:events';
import { access } from 'node:fs/promises';
import { databaseName } from '../config/database-schema.ts';
import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import type { Secrets } from '../config/secrets.ts';
import { problemOfControlSocket } from '../control/socket-file.ts';
import { KeyFileError, loadKeyFile } from '../credentials/key-file.ts';
import { openRedis, type Redis, type SingleRedis, serversOf } from '../credentials/redis.ts';
import { createProviders } from '../identity/sign-in/oidc/providers.ts';
import { errorText } from '../observability/error-text.ts';
import { loadSenderAliases } from '../proxy/smtp/sender-aliases.ts';
import { openConfiguredDatabase } from '../store/configured-database.ts';
import { pendingMigrations } from '../store/database.ts';
import { isStoreOutage } from '../store/outage.ts';
import { countForeignPasskeys } from '../store/passkeys.ts';
import type { Leg } from '../upstream/leg.ts';
import { probe } from '../upstream/probe.ts';
import { createUpstreams, type Upstream } from '../upstream/upstreams.ts';
import { CommandFailure, type CommandIo, type CommonOptions, exitCode, json } from './io.ts';
import { configFileOf } from './workbench.ts';

interface Finding {
  readonly level: 'problem' | 'warning' | 'answer';
  readonly text: string;
}

/** `check`: every problem of the configuration at once; with `connect`, what each server it names answers. */
export async function runCheck(
  options: CommonOptions & { readonly connect?: boolean },
  io: CommandIo,
): Promise<void> {
  const file = configFileOf(options, io);
  const loaded = await loadConfig(file, io.environment);
  const findings: Finding[] = [];
  if (loaded.kind === 'invalid') {
    findings.push(...loaded.problems.map((text): Finding => ({ level: 'problem', text })));
  } else {
    findings.push(...loaded.warnings.map((text): Finding => ({ level: 'warning', text })));
    findings.push(...(await checkKeys(loaded.config)));
    const socket = problemOfControlSocket(loaded.config.stateDir);
    if (socket !== null) findings.push({ level: 'problem', text: `state_dir: ${socket}` });
    const { problems: aliases } = await loadSenderAliases(loaded.config.domains);
    findings.push(...aliases.map((text): Finding => ({ level: 'problem', text })));
    if (options.connect === true) findings.push(...(await connectAll(loaded.config, loaded.secrets)));
  }
  const problems = findings.filter(({ level }) => level === 'problem').length;
  if (options.json === true) io.out(json({ file, ok: problems === 0, findings }));
  else {
    for (const { level, text } of findings) io.out(`${level.padEnd(7)}  ${text}`);
    io.out(
      problems === 0
        ? `${file} is usable.`
        : `${file} has ${problems} ${problems === 1 ? 'problem' : 'problems'}.`,
    );
  }
  if (problems > 0) throw new CommandFailure(exitCode.configuration, '');
}

async function checkKeys(config: Config): Promise<Finding[]> {
  try {
    await loadKeyFile(config.keysFile);
    return [];
  } catch (error) {
    if (error instanceof KeyFileError) return [{ level: 'problem', text: `keys_file: ${error.message}` }];
    throw error;
  }
}

async function connectAll(config: Config, secrets: Secrets): Promise<Finding[]> {
  const findings: Finding[] = await askDatabase(config, secrets);
  findings.push(...(await askRedis(config, secrets)));
  for (const [name, provider] of createProviders(config, secrets, { now: Date.now })) {
    const problem = await provider.probe();
    findings.push(
      problem === null
        ? { level: 'answer', text: `oidc.${name}: ${provider.settings.issuer} answers` }
        : { level: 'problem', text: `oidc.${name}: ${provider.settings.issuer}: ${problem}` },
    );
  }
  const upstreams = createUpstreams(config, secrets);
  for (const [name, upstream] of upstreams) {
    for (const leg of ['imap', 'smtp', 'pop3'] as const) {
      if (upstream.backend[leg] !== null) findings.push(...(await askBackend(config, name, upstream, leg)));
    }
  }
  return findings;
}

const answerTimeMs = 10_000;

async function askBackend(config: Config, name: string, upstream: Upstream, leg: Leg): Promise<Finding[]> {
  const where = `backends.${name}.${leg}`;
  try {
    const found = await probe(upstream, leg, {
      hostname: config.hostname,
      domains: Object.keys(config.domains),
      signal: AbortSignal.timeout(answerTimeMs),
    });
    return found.map(({ level, text }) => ({ level, text: `${where}: ${text}` }));
  } catch (error) {
    return [{ level: 'problem', text: `${where}: ${errorText(error)}` }];
  }
}

async function askDatabase(config: Config, secrets: Secrets): Promise<Finding[]> {
  const where = databaseName(config.database);
  if (config.database.engine === 'sqlite') {
    try {
      await access(config.database.file);
    } catch {
      return [{ level: 'warning', text: `database: ${where} does not exist yet; serve makes it` }];
    }
  }
  const database = openConfiguredDatabase({ config, secrets });
  try {
    const pending = await pendingMigrations(database);
    if (pending.length > 0) {
      const text = `database: ${where} lacks ${pending.join(', ')}; serve or migrate brings it up to date`;
      return [{ level: 'warning', text }];
    }
    const found: Finding[] = [{ level: 'answer', text: `database: ${where} is up to date` }];
    const { hostname } = config.portal.publicUrl;
    const people = await countForeignPasskeys(database, hostname);
    if (people > 0) {
      const whose = `${people} ${people === 1 ? 'person has' : 'people have'} passkeys`;
      const text = `portal.public_url: ${whose} that were made for another host than ${hostname} and work no more`;
      found.push({ level: 'warning', text });
    }
    return found;
  } catch (error) {
    if (!isStoreOutage(error)) throw error;
    return [{ level: 'problem', text: `database: ${where}: ${errorText(error)}` }];
  } finally {
    await database.destroy();
  }
}

async function askRedis(config: Config, secrets: Secrets): Promise<Finding[]> {
  let problem: string | null = null;
  const redis = openRedis(config, secrets, (error) => {
    problem = errorText(error);
  });
  if (redis === null) return [];
  try {
    if (redis.status !== 'ready') await once(redis, 'ready', { signal: AbortSignal.timeout(answerTimeMs) });
    const findings: Finding[] = [{ level: 'answer', text: `redis: answers ${await redis.ping()}` }];
    findings.push(await askPersistence(redis));
    return findings;
  } catch (error) {
    return [{ level: 'problem', text: `redis: ${problem ?? errorText(error)}` }];
  } finally {
    redis.disconnect();
  }
}

/** S-28: "the fast proof lives in memory only" is not true of a Redis that writes snapshots. */
async function askPersistence(redis: Redis): Promise<Finding> {
  try {
    const writes = await Promise.all(serversOf(redis).map(writesToDisk));
    return !writes.includes(true)
      ? { level: 'answer', text: 'redis: writes nothing to disk' }
      : { level: 'warning', text: 'redis: writes its data to disk; set `save ""` and `appendonly no`' };
  } catch (error) {
    return { level: 'warning', text: `redis: does not tell whether it writes to disk: ${errorText(error)}` };
  }
}

async function writesToDisk(redis: SingleRedis): Promise<boolean> {
  const [, save] = (await redis.config('GET', 'save')) as string[];
  const [, appendOnly] = (await redis.config('GET', 'appendonly')) as string[];
  return save !== '' || appendOnly !== 'no';
}
