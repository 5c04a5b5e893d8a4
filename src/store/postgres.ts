import { Kysely, type PostgresPool, type PostgresPoolClient } from 'kysely';
import pg from 'pg';
import type { PostgresServer } from '../config/database-schema.ts';
import { errorText } from '../observability/error-text.ts';
import type { Secret } from '../secret.ts';
import type { Database } from './database.ts';
import { StoreSilentError } from './outage.ts';
import { SharedPostgresDialect } from './postgres-dialect.ts';
import type { Schema } from './schema.ts';

/** What a server may take. A login waits at most {@link connectMs} and {@link silentMs}: less than its deadline of 5 s. */
const connections = 10;
const connectMs = 2_000;
const lockMs = 2_000;
const statementMs = 2_500;
/** For a server that says nothing at all, a little later than it would have given up itself. */
const silentMs = 2_900;
const idleInTransactionMs = 10_000;

/** How to reach a server, and what to do about its faults. */
export interface PostgresOptions {
  readonly server: PostgresServer;
  readonly password: Secret | null;
  /** PEM of the private CA; null trusts the system's. */
  readonly ca: Buffer | null;
  /** Told when a connection that nobody was using broke. */
  readonly onFault: (problem: string) => void;
  /** For migrations, which may take their time. */
  readonly isPatient?: boolean;
}

/**
 * A database on a PostgreSQL server. Connects when first asked, and anew after each outage: meanwhile every query rejects
 * with what `isStoreOutage` knows. The caller migrates.
 */
export function openPostgres(options: PostgresOptions): Database {
  const pool = new pg.Pool(poolSettings(options));
  // Without a listener a restart of the server would end this process.
  pool.on('error', (error) => options.onFault(errorText(error)));
  // A server that shuts down may say so in the segment that ends the sign-in, before whoever asked for it can listen.
  pool.on('connect', (client) => client.on('error', () => undefined));
  const patience = options.isPatient === true ? null : silentMs;
  return new Kysely<Schema>({
    dialect: new SharedPostgresDialect({ pool: new ImpatientPool(pool, patience) }),
  });
}

function poolSettings({ server, password, ca, isPatient = false }: PostgresOptions): pg.PoolConfig {
  return {
    host: server.host,
    port: server.port,
    user: server.user,
    database: server.database,
    // A function, so that no environment variable and no ~/.pgpass fills in for it.
    password: () => password?.text() ?? '',
    ssl: server.isTls ? { minVersion: 'TLSv1.2', ...(ca === null ? {} : { ca }) } : false,
    application_name: 'sallyport',
    max: connections,
    connectionTimeoutMillis: connectMs,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    lock_timeout: lockMs,
    ...(isPatient ? {} : { statement_timeout: statementMs }),
    idle_in_transaction_session_timeout: idleInTransactionMs,
    types: { getTypeParser: typeParser },
  };
}

/** Whole numbers are numbers, as from the embedded engine; all of ours are below 2^53. Numeric is what sums come as. */
const wholeNumbers: readonly number[] = [pg.types.builtins.INT8, pg.types.builtins.NUMERIC];
const typeParser: pg.CustomTypesConfig['getTypeParser'] = (oid, format) =>
  wholeNumbers.includes(oid) ? Number : pg.types.getTypeParser(oid, format);

/** Gives out connections that give up on a silent server, and takes none back that may still be busy with a query. */
class ImpatientPool implements PostgresPool {
  readonly #pool: pg.Pool;
  readonly #silentMs: number | null;

  constructor(pool: pg.Pool, silentMs: number | null) {
    this.#pool = pool;
    this.#silentMs = silentMs;
  }

  get options(): object {
    return {};
  }

  async connect(): Promise<PostgresPoolClient> {
    try {
      return new ImpatientClient(await this.#pool.connect(), this.#silentMs);
    } catch (error) {
      throw withoutValues(error);
    }
  }

  async end(): Promise<void> {
    await this.#pool.end();
  }
}

class ImpatientClient implements PostgresPoolClient {
  readonly #client: pg.PoolClient;
  readonly #silentMs: number | null;
  #isBroken = false;
  readonly #onError = () => {
    this.#isBroken = true;
  };

  constructor(client: pg.PoolClient, silentMs: number | null) {
    this.#client = client;
    this.#silentMs = silentMs;
    // Between two statements of a transaction nobody else listens, and the process would end.
    client.on('error', this.#onError);
  }

  /** Kysely's type for it has streams too, which nothing here asks for. */
  readonly query = ((text: string, values: readonly unknown[]) =>
    this.#query(text, values)) as unknown as PostgresPoolClient['query'];

  release(isDiscarded = false): void {
    this.#client.off('error', this.#onError);
    this.#client.release(isDiscarded || this.#isBroken);
  }

  async #query(text: string, values: readonly unknown[]): Promise<pg.QueryResult> {
    if (this.#isBroken) throw new StoreSilentError('the connection to PostgreSQL broke');
    const { promise: silent, reject } = Promise.withResolvers<never>();
    const timer =
      this.#silentMs === null
        ? undefined
        : setTimeout(() => reject(new StoreSilentError('PostgreSQL does not answer')), this.#silentMs);
    try {
      return await Promise.race([this.#client.query(text, [...values]), silent]);
    } catch (error) {
      this.#isBroken ||= !isAnswer(error);
      throw withoutValues(error);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Whether the server itself said so. */
function isAnswer(error: unknown): error is pg.DatabaseError {
  return typeof error === 'object' && error !== null && 'severity' in error;
}

/** What the server tells of a failed statement quotes the rows it was about. */
function withoutValues(error: unknown): unknown {
  if (!isAnswer(error)) {
    return error instanceof StoreSilentError
      ? error
      : new StoreSilentError(errorText(error), { cause: error });
  }
  for (const key of ['detail', 'hint', 'where', 'internalQuery'] as const) delete error[key];
  return error;
}
