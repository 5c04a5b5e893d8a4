import { flood } from './flood.ts';
import type { Generator, Load, LoadResult } from './generator.ts';
import { canHold, idle } from './idle.ts';
import { loginColumns, measureLoad } from './loads.ts';
import type { Extent, Measurement } from './measurement.ts';
import type { Target } from './targets/target.ts';

const largeBytes = 20 * 1_024 * 1_024;

/** All of them, in the order of the report. */
export function allMeasurements(generator: Generator): readonly Measurement[] {
  const sizes = [1_000, 5_000, 9_500].filter(canHold);
  return [
    ...logins(generator),
    latency(generator),
    fetchLarge(generator),
    ...submissions(generator),
    ...sizes.map((size) => idle(generator, size)),
    flood(generator),
  ];
}

function login(target: Target, more: Partial<Load>): Load {
  return {
    kind: 'login',
    port: target.imaps,
    credentials: target.credentials.hot,
    atOnce: target.atOnce,
    ...more,
  };
}

const countLogins = (result: LoadResult): number => result.logins;
const countMessages = (result: LoadResult): number => result.messages;

function logins(generator: Generator): readonly Measurement[] {
  const cold = (target: Target): Partial<Load> => ({
    credentials: target.credentials.cold,
    total: target.credentials.coldCount,
  });
  const session = 'connection, full TLS 1.3 handshake, LOGIN, login at the backend, LOGOUT';
  return [
    {
      name: 'login',
      about: `${session}; the gateway's process has seen the app password before`,
      targets: ['sallyport', 'nginx', 'dovecot', 'dovecot-argon2id', 'haproxy'],
      columns: loginColumns,
      run: measureLoad(generator, {
        load: (target, { seconds }) => login(target, { seconds }),
        operations: countLogins,
        provenBy: 'memory',
      }),
    },
    {
      name: 'login-redis',
      about: `${session}; the gateway's process has not seen the app password, Redis has`,
      targets: ['sallyport-redis', 'nginx', 'dovecot'],
      columns: loginColumns,
      run: measureLoad(generator, {
        load: (target, { seconds }) => login(target, target.hasCache ? cold(target) : { seconds }),
        operations: countLogins,
        isCold: true,
        provenBy: 'redis',
      }),
    },
    {
      name: 'login-argon2',
      about: `${session}; no cache has seen the app password, so argon2id proves it`,
      targets: ['sallyport', 'dovecot-argon2id'],
      columns: loginColumns,
      run: measureLoad(generator, {
        load: (target, { seconds }) =>
          login(target, { seconds, atOnce: 8, ...(target.hasCache ? cold(target) : {}) }),
        operations: countLogins,
        isCold: true,
        provenBy: 'store',
      }),
    },
    {
      name: 'login-wrong',
      about: 'connection, full TLS 1.3 handshake, LOGIN with a wrong app password, refusal',
      targets: ['sallyport', 'nginx', 'dovecot', 'dovecot-argon2id'],
      columns: loginColumns,
      run: measureLoad(generator, {
        load: (target, { seconds }) =>
          login(target, {
            credentials: target.credentials.wrong,
            mustRefuse: true,
            atOnce: target.atOnceRefused,
            seconds,
          }),
        operations: ({ refusals }) => refusals,
      }),
    },
  ];
}

function latency(generator: Generator): Measurement {
  return {
    name: 'latency',
    about: 'from the connection to the OK of LOGIN, 50 logins a second, whether or not earlier ones are done',
    targets: ['sallyport', 'nginx', 'dovecot', 'haproxy'],
    columns: [
      { key: 'p50', title: 'p50 ms' },
      { key: 'p99', title: 'p99 ms' },
      { key: 'cpuMs', title: 'CPU ms' },
    ],
    run: measureLoad(generator, {
      load: (target, { seconds }) => login(target, { seconds, rate: 50 }),
      operations: countLogins,
    }),
  };
}

function fetchLarge(generator: Generator): Measurement {
  return {
    name: 'fetch',
    about:
      '1 GB (10^9 bytes) of FETCH of a 20 MiB message, four connections, backend in clear; p50 is of one message',
    targets: ['sallyport', 'nginx', 'dovecot', 'haproxy'],
    columns: loginColumns.map((column) => ({
      ...column,
      title: column.title.replace('CPU ms', 'CPU ms per GB'),
    })),
    run: measureLoad(generator, {
      load: ({ imaps: port, credentials, isSlowCopier }) => ({
        kind: 'fetch',
        port,
        credentials: credentials.hot,
        atOnce: 4,
        total: 4,
        per: isSlowCopier ? 4 : 16,
      }),
      operations: ({ bytes }) => bytes / 1e9,
    }),
  };
}

function submissions(generator: Generator): readonly Measurement[] {
  const submission = (
    name: string,
    about: string,
    load: (target: Target, extent: Extent) => Partial<Load>,
  ) => ({
    name,
    about,
    targets: ['sallyport', 'nginx', 'dovecot', 'haproxy'],
    columns: loginColumns,
    run: measureLoad(generator, {
      load: (target, extent) => ({
        kind: 'submit',
        port: target.smtps,
        credentials: target.credentials.hot,
        atOnce: target.atOnce,
        ...load(target, extent),
      }),
      operations: countMessages,
    }),
  });
  return [
    submission(
      'smtp10k',
      'connection, TLS, AUTH, a message of 10 kB, QUIT; latency is of all but QUIT',
      (_, { seconds }) => ({ seconds, bytes: 10_240 }),
    ),
    submission('smtp10k20', 'a message of 10 kB, twenty on a connection', (_, { seconds }) => ({
      seconds,
      bytes: 10_240,
      per: 20,
      atOnce: 16,
    })),
    submission('smtp20m', 'connection, TLS, AUTH, a message of 20 MiB, QUIT', ({ isSlowCopier }) => ({
      bytes: largeBytes,
      atOnce: 4,
      total: isSlowCopier ? 12 : 40,
    })),
  ];
}
