import { z } from 'zod';
import { isLoopback } from './loopback.ts';
import { path } from './primitives.ts';

/** A name or an address without brackets. */
export interface RedisHost {
  readonly host: string;
  readonly port: number;
}

/** A Redis the gateways share: one server, the master that sentinels name, or a cluster. */
export type RedisLocation = {
  /** With it the certificate of every host is verified, chain and name (S-29). */
  readonly isTls: boolean;
  readonly user: string | null;
  readonly caFile: string | null;
} & (
  | { readonly kind: 'single'; readonly hosts: readonly [RedisHost]; readonly database: number }
  | {
      readonly kind: 'sentinel';
      /** The sentinels. They alone know where the master is. */
      readonly hosts: readonly RedisHost[];
      readonly master: string;
      readonly database: number;
    }
  | { readonly kind: 'cluster'; readonly hosts: readonly RedisHost[] }
);

/** The password of the URL, or where to read it. */
export interface RedisPasswordSettings {
  readonly password: string | null;
  readonly passwordFile: string | null;
  /** null: the sentinels take the same as the Redis behind them. */
  readonly sentinelPasswordFile: string | null;
}

type Parsed = RedisLocation & RedisPasswordSettings;

/** Says nothing of the URL itself, which may hold a password. */
export const redis = z
  .strictObject({
    url: z.string(),
    /** Of a Redis whose certificate no public authority signed. */
    ca_file: path.optional(),
    password_file: path.optional(),
    sentinel_password_file: path.optional(),
  })
  .transform((file, context): Parsed => {
    const problem = (key: string, message: string) => {
      context.addIssue({ code: 'custom', path: [key], message });
      return z.NEVER;
    };
    const parsed = parseRedisUrl(file.url);
    if (typeof parsed === 'string') return problem('url', parsed);
    const { password, ...location } = parsed;
    if (password !== null && file.password_file !== undefined) {
      return problem('password_file', 'is not needed where the URL holds a password');
    }
    if (file.sentinel_password_file !== undefined && location.kind !== 'sentinel') {
      return problem('sentinel_password_file', 'is for redis+sentinel:// and rediss+sentinel:// only');
    }
    if (file.ca_file !== undefined && !location.isTls) return problem('ca_file', 'is for rediss only');
    // S-29: one host of several is enough to hand the password to whoever listens between.
    if (!location.hosts.every(({ host }) => isLoopback(host))) {
      if (!location.isTls) {
        return problem(
          'url',
          'a Redis that is not on this host needs rediss instead of redis, and a password',
        );
      }
      if (password === null && file.password_file === undefined) {
        return problem('url', 'a Redis that is not on this host needs a password, or password_file');
      }
    }
    return {
      ...location,
      caFile: file.ca_file ?? null,
      password,
      passwordFile: file.password_file ?? null,
      sentinelPasswordFile: file.sentinel_password_file ?? null,
    };
  });

/** The part that may be printed. */
export function withoutPasswords({
  password: _password,
  passwordFile: _passwordFile,
  sentinelPasswordFile: _sentinelPasswordFile,
  ...location
}: Parsed): RedisLocation {
  return location;
}

const pattern = /^(rediss?)(?:\+(sentinel|cluster))?:\/\/([^/?#]*)([^?#]*)(\?[^#]*)?$/s;
const hostPattern = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?))(?::(\d{1,5}))?$/;

/** What the URL names, without a CA, or what is wrong with it. */
export function parseRedisUrl(text: string): (RedisLocation & { readonly password: string | null }) | string {
  const match = pattern.exec(text);
  if (match === null)
    return 'must begin with redis:// or rediss://, or with +sentinel or +cluster before the colon';
  const [, scheme = '', way = 'single', authority = '', tail = '', query = ''] = match;
  const at = authority.lastIndexOf('@');
  const hosts: RedisHost[] = [];
  for (const each of authority.slice(at + 1).split(',')) {
    const [, address, name, port] = hostPattern.exec(each.trim()) ?? [];
    const number = Number(port ?? (way === 'sentinel' ? 26_379 : 6_379));
    const host = address ?? name;
    if (host === undefined || number < 1 || number > 65_535) {
      return 'holds a host that is none of NAME, NAME:PORT, [ADDRESS]:PORT; in a password @ is %40 and / is %2F';
    }
    hosts.push({ host, port: number });
  }
  const [first] = hosts;
  if (first === undefined) return 'needs a host';
  const named = namesIn(authority.slice(0, Math.max(at, 0)), tail.slice(1));
  if (named === null) return 'holds a % that begins no percent-encoding';
  const { user, password, last } = named;
  const shared = { isTls: scheme === 'rediss', user: user === '' ? null : user, caFile: null };
  const secret = { password: password === '' ? null : password };

  if (way === 'cluster') {
    if (last !== '' || query !== '')
      return 'takes nothing behind the hosts: a cluster has no numbered databases';
    return { kind: 'cluster', hosts, ...shared, ...secret };
  }
  if (way === 'sentinel') {
    if (!/^[A-Za-z0-9._-]+$/.test(last)) {
      return 'needs the name that the sentinels give the master, as in redis+sentinel://HOST:26379/mymaster';
    }
    const number = query === '' ? 0 : databaseNumber(/^\?db=(.*)$/s.exec(query)?.[1] ?? '');
    if (number === null) return 'takes no parameter but db=NUMBER';
    return { kind: 'sentinel', hosts, master: last, database: number, ...shared, ...secret };
  }
  if (hosts.length > 1) return 'names several hosts: begin it with redis+sentinel:// or redis+cluster://';
  const number = last === '' ? 0 : databaseNumber(last);
  if (number === null || query !== '') return 'takes nothing behind the host but /NUMBER, the database';
  return { kind: 'single', hosts: [first], database: number, ...shared, ...secret };
}

function databaseNumber(text: string): number | null {
  return /^\d{1,4}$/.test(text) ? Number(text) : null;
}

/** null where the percent-encoding is broken. */
function namesIn(userInfo: string, tail: string) {
  const colon = userInfo.includes(':') ? userInfo.indexOf(':') : userInfo.length;
  try {
    return {
      user: decodeURIComponent(userInfo.slice(0, colon)),
      password: decodeURIComponent(userInfo.slice(colon + 1)),
      last: decodeURIComponent(tail),
    };
  } catch {
    return null;
  }
}
