import { Secret } from '../secret.ts';
import type { Findings } from './read-certificates.ts';
import type { RedisPasswordSettings } from './redis-schema.ts';
import { readSetting } from './setting-file.ts';

export interface RedisSecrets {
  readonly redisPassword: Secret | null;
  /** Where Redis is found by sentinels; its own or the same. */
  readonly redisSentinelPassword: Secret | null;
}

/** Reads the password files; what cannot be read or used is added to the problems. */
export async function readRedisSecrets(
  settings: RedisPasswordSettings | null,
  { problems }: Findings,
): Promise<RedisSecrets> {
  if (settings === null) return { redisPassword: null, redisSentinelPassword: null };
  const { password, passwordFile, sentinelPasswordFile } = settings;
  const read = async (setting: string, file: string): Promise<Secret | null> => {
    const content = await readSetting(setting, file, problems);
    if (content === null) return null;
    const text = content.toString('utf8').replace(/\r?\n$/, '');
    if (text !== '') return Secret.fromText(text);
    problems.push(`${setting}: ${file} is empty`);
    return null;
  };
  const literal = password === null ? null : Secret.fromText(password);
  const redisPassword = passwordFile === null ? literal : await read('redis.password_file', passwordFile);
  return {
    redisPassword,
    redisSentinelPassword:
      sentinelPasswordFile === null
        ? redisPassword
        : await read('redis.sentinel_password_file', sentinelPasswordFile),
  };
}
