import { z } from 'zod';
import { isLoopback } from './loopback.ts';
import { path } from './primitives.ts';

/** Where PostgreSQL listens and as whom the gateway signs in there. */
export interface PostgresServer {
  /** A name, an address without brackets, or the folder of a Unix socket. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
  /** With it the certificate is always verified, chain and name (S-33). */
  readonly isTls: boolean;
  readonly caFile: string | null;
}

/** An embedded file, or a server that several gateways share. */
export type DatabaseLocation =
  | { readonly engine: 'sqlite'; readonly file: string }
  | ({ readonly engine: 'postgres' } & PostgresServer);

type Parsed =
  | { readonly engine: 'sqlite'; readonly file: string; readonly password: null; readonly passwordFile: null }
  | ({ readonly engine: 'postgres' } & PostgresServer & {
        readonly password: string | null;
        readonly passwordFile: string | null;
      });

/** Says nothing of the URL itself, which may hold a password. */
export const database = z
  .strictObject({
    url: z
      .string()
      .regex(
        /^(?:sqlite:.+|postgres(?:ql)?:\/\/.+)$/s,
        'must be sqlite:PATH or postgres://USER@HOST/DATABASE',
      ),
    /** Of a PostgreSQL whose certificate no public authority signed. */
    ca_file: path.optional(),
    password_file: path.optional(),
  })
  .transform((file, context): Parsed => {
    const problem = (key: string, message: string) => {
      context.addIssue({ code: 'custom', path: [key], message });
      return z.NEVER;
    };
    if (file.url.startsWith('sqlite:')) {
      if (file.ca_file !== undefined) return problem('ca_file', 'is for postgres:// only');
      if (file.password_file !== undefined) return problem('password_file', 'is for postgres:// only');
      const embedded = file.url.slice('sqlite:'.length);
      return { engine: 'sqlite', file: embedded, password: null, passwordFile: null };
    }
    const parts = partsOf(file.url);
    if (typeof parts === 'string') return problem('url', parts);
    const { password, sslmode, ...server } = parts;
    if (password !== null && file.password_file !== undefined) {
      return problem('password_file', 'is not needed where the URL holds a password');
    }
    const isLocal = server.host.startsWith('/') || isLoopback(server.host);
    if (sslmode !== null && sslmode !== 'verify-full') {
      return problem('url', 'sslmode can only be verify-full, which is the default for a server elsewhere');
    }
    if (!isLocal && password === null && file.password_file === undefined) {
      return problem('url', 'a PostgreSQL that is not on this host needs a password, or password_file');
    }
    if (server.host.startsWith('/') && (sslmode !== null || file.ca_file !== undefined)) {
      return problem(file.ca_file === undefined ? 'url' : 'ca_file', 'there is no TLS on a Unix socket');
    }
    return {
      engine: 'postgres',
      ...server,
      isTls: !isLocal || sslmode !== null || file.ca_file !== undefined,
      caFile: file.ca_file ?? null,
      password,
      passwordFile: file.password_file ?? null,
    };
  });

/** What the URL names, or what is wrong with it. */
function partsOf(text: string) {
  if (!URL.canParse(text))
    return 'is not a URL; what is special in user and password must be percent-encoded';
  const url = new URL(text);
  let names: { host: string; user: string; password: string; database: string };
  try {
    names = {
      host: decodeURIComponent(url.hostname).replace(/^\[|\]$/g, ''),
      user: decodeURIComponent(url.username),
      password: decodeURIComponent(url.password),
      database: decodeURIComponent(url.pathname.slice(1)),
    };
  } catch {
    return 'holds a % that begins no percent-encoding';
  }
  const { host, user, password, database } = names;
  if (host === '') return 'needs a host; a Unix socket is written as %2Frun%2Fpostgresql';
  if (user === '') return 'needs a user';
  if (database === '' || database.includes('/')) return 'needs the name of a database';
  if (Object.values(names).some((name) => name.includes('\0'))) return 'holds a zero byte';
  const { sslmode = null, ...others } = Object.fromEntries(url.searchParams);
  if (Object.keys(others).length > 0 || url.hash !== '') return 'takes no parameter but sslmode=verify-full';
  return {
    host,
    port: Number(url.port || '5432'),
    user,
    database,
    password: password === '' ? null : password,
    sslmode,
  };
}

/** How the location is named to people: it holds no secret. */
export function databaseName(location: DatabaseLocation): string {
  if (location.engine === 'sqlite') return location.file;
  const { user, host, port, database } = location;
  const place = host.startsWith('/') ? encodeURIComponent(host) : host.includes(':') ? `[${host}]` : host;
  return `postgres://${encodeURIComponent(user)}@${place}:${port}/${encodeURIComponent(database)}`;
}
