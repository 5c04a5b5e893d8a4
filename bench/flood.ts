import { gatewayMetric } from './gateway-metrics.ts';
import type { Generator } from './generator.ts';
import { openAccount } from './loads.ts';
import type { Extent, Measurement, Outcome } from './measurement.ts';
import type { Target } from './targets/target.ts';

/** Logins per second whose wait is measured. */
const goodRate = 20;

/** Right logins that have to be verified the long way, as many at once as fit, and good ones meanwhile. */
export function flood(generator: Generator): Measurement {
  return {
    name: 'flood',
    about:
      'everyday logins, 20 a second, while eight connections at a time log in with right passwords that no cache knows',
    targets: ['sallyport', 'dovecot-argon2id', 'dovecot', 'nginx'],
    columns: [
      { key: 'goodP99', title: 'everyday p99 ms' },
      { key: 'goodP50', title: 'everyday p50 ms' },
      { key: 'loopP99', title: 'event loop p99 ms' },
      { key: 'rate', title: 'flood logins per second' },
      { key: 'cpuMs', title: 'CPU ms per login' },
    ],
    run: (target, extent) => measureFlood(generator, target, extent),
  };
}

async function measureFlood(generator: Generator, target: Target, { seconds }: Extent): Promise<Outcome> {
  await target.restart();
  const { imaps: port, credentials } = target;
  await eventLoopP99(target);
  const account = openAccount(target);
  const bound = target.hasCache ? { total: credentials.coldCount } : {};
  const [cold, good] = await Promise.all([
    generator.run({ kind: 'login', port, credentials: credentials.cold, atOnce: 8, seconds, ...bound }),
    generator.run({ kind: 'login', port, credentials: credentials.hot, rate: goodRate, seconds }),
  ]);
  const loopP99 = await eventLoopP99(target);
  const spent = await account();
  return {
    figures: {
      goodP99: good.p99,
      goodP50: good.p50,
      ...(loopP99 === null ? {} : { loopP99 }),
      rate: cold.logins / cold.seconds,
      cpuMs: (spent.target / (cold.logins + good.logins)) * 1_000,
    },
    errors: cold.errors + good.errors,
    firstError: cold.firstError || good.firstError,
  };
}

/** Milliseconds since the metrics were last read, 10 ms between two samples included; null where there are none. */
async function eventLoopP99(target: Target): Promise<number | null> {
  const seconds = await gatewayMetric(target, 'nodejs_eventloop_lag_p99_seconds');
  return seconds === null ? null : seconds * 1_000;
}
