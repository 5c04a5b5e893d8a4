import { isIP } from 'node:net';
import { userInfo } from 'node:os';
import type { Command } from 'commander';
import { z } from 'zod';
import type { LoadedConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { giveOrder } from '../control/client.ts';
import { throttleReport, throttleViewSchema } from '../control/throttle-orders.ts';
import { isoOf } from '../credentials/app-password-json.ts';
import { openRedis, type Redis } from '../credentials/redis.ts';
import { Throttle, type ThrottleFilter, throttleTag } from '../credentials/throttle.ts';
import type { ThrottleEvent } from '../credentials/throttle-event.ts';
import { RedisThrottleExchange } from '../credentials/throttle-exchange.ts';
import { errorText } from '../observability/error-text.ts';
import { createMetrics } from '../observability/metrics.ts';
import { listAddresses } from '../store/accounts.ts';
import { CommandFailure, type CommandIo, type CommonOptions, exitCode, json, moment, table } from './io.ts';
import { addressOf, configurationOf, keysOf, noteDone, withWorkbench } from './workbench.ts';

interface Options extends CommonOptions {
  readonly account?: string;
  readonly network?: string;
  readonly all?: boolean;
}

type Loaded = LoadedConfig & { kind: 'loaded' };

const connectMs = 2_000;
const clearedSchema = z.object({ cleared: z.number() });

/** `throttle show｜clear`: by the gateway that runs on this host, else by what the nodes tell each other over Redis. */
export function addThrottleCommands(program: Command, io: CommandIo): void {
  const group = program
    .command('throttle')
    .description('who is slowed or refused for guessing app passwords');
  group
    .command('show')
    .description('what is counted now, refused ones first')
    .option('--account <address>', 'only this account')
    .option('--network <address>', 'only this address or network')
    .action(async (_: unknown, command: Command) => show(command.optsWithGlobals(), io));
  group
    .command('clear')
    .description('forget what was counted, at every node, so that the next login is looked at')
    .option('--account <address>', 'only this account, at every network')
    .option('--network <address>', 'only this address or network, and the wider one around it')
    .option('--all', 'everything')
    .action(async (_: unknown, command: Command) => clear(command.optsWithGlobals(), io));
}

async function show(options: Options, io: CommandIo): Promise<void> {
  const { loaded, filter } = await asked(options, io);
  const answer = await askGateway(loaded.config, 'throttle-show', filter);
  const report =
    answer === null
      ? await withCounts(loaded, io, async (throttle) => throttleReport(throttle, filter))
      : throttleViewSchema.parse(answer);
  const names = await namesOf(filter, options, io);
  const nameOf = (tag: string) => names.get(tag) ?? `no account (${tag.slice(0, 8)})`;
  const entries = report.entries.map(({ tag, ...entry }) => ({
    account: tag === null ? null : nameOf(tag),
    ...entry,
    refusedUntil: entry.refusedUntil === 0 ? null : entry.refusedUntil,
  }));
  const exempt = report.exempt.map(({ tag, ...each }) => ({ account: nameOf(tag), ...each }));
  if (options.json === true) {
    io.out(
      json({
        entries: entries.map((entry) => ({ ...entry, refusedUntil: isoOf(entry.refusedUntil) })),
        exempt: exempt.map((each) => ({ ...each, until: isoOf(each.until) })),
      }),
    );
    return;
  }
  if (entries.length === 0) io.out('Nothing is counted: nobody is slowed or refused.');
  else {
    const rows = entries.map(({ account, network, distinct, refuseFrom, refusedUntil }) => [
      account ?? 'any',
      network,
      `${distinct} of ${refuseFrom}`,
      refusedUntil === null ? '' : `refused until ${moment(refusedUntil)}`,
    ]);
    for (const line of table(['account', 'network', 'wrong in an hour', 'state'], rows)) io.out(line);
  }
  if (filter.account === null && filter.network === null) return;
  for (const { account, network, until } of exempt) {
    io.out(`${account} logged in at ${network} and is not slowed there until ${moment(until)}.`);
  }
}

async function clear(options: Options, io: CommandIo): Promise<void> {
  const isNarrow = options.account !== undefined || options.network !== undefined;
  if (isNarrow === (options.all === true)) {
    throw new CommandFailure(exitCode.usage, 'Give --account or --network or both, or --all.');
  }
  const { loaded, filter } = await asked(options, io);
  const answer = await askGateway(loaded.config, 'throttle-clear', filter, options.reason);
  const { cleared } =
    answer === null
      ? await withCounts(loaded, io, async (throttle) => ({ cleared: throttle.clear(filter) }))
      : clearedSchema.parse(answer);
  if (answer === null) {
    await noteDone(options, io, { action: 'throttles.cleared', what: JSON.stringify(filter) });
  }
  io.out(options.json === true ? json({ cleared }) : `${cleared} counts forgotten, at every node.`);
}

async function asked(options: Options, io: CommandIo): Promise<{ loaded: Loaded; filter: ThrottleFilter }> {
  const loaded = await configurationOf(options, io);
  return {
    loaded,
    filter: {
      account: options.account === undefined ? null : addressOf(loaded.config, options.account).address,
      network: options.network === undefined ? null : networkTyped(options.network),
    },
  };
}

/** null: none runs on this host. */
async function askGateway(
  { stateDir }: Config,
  name: string,
  details: ThrottleFilter,
  reason?: string,
): Promise<unknown> {
  const operator = `cli:${userInfo().username}`;
  const outcome = await giveOrder(stateDir, { name, operator, reason, details });
  switch (outcome.kind) {
    case 'done':
      return outcome.result;
    case 'refused':
      throw new CommandFailure(exitCode.failed, outcome.problem);
    case 'no-gateway':
      return null;
    default:
      return outcome satisfies never;
  }
}

/** Counts as a node that has just started; what `work` tells the others has reached Redis when this settles. */
async function withCounts<T>(
  { config, secrets }: Loaded,
  io: CommandIo,
  work: (throttle: Throttle) => Promise<T>,
): Promise<T> {
  let problem = 'it does not answer';
  const redis = openRedis(config, secrets, (error) => {
    problem = errorText(error);
  });
  if (redis === null) {
    throw new CommandFailure(
      exitCode.failed,
      `No gateway runs on this host with the state_dir ${config.stateDir}, and without Redis nobody else knows what is counted.`,
    );
  }
  try {
    const keys = await keysOf(config);
    const exchange = new RedisThrottleExchange({ redis, keys, metrics: createMetrics(), logger: null });
    // It only tells: a command reads once and ends.
    const teller = { send: (event: ThrottleEvent) => exchange.send(event), receive: () => undefined };
    const throttle = new Throttle({
      keys,
      now: io.now,
      monotonic: () => performance.now(),
      exchange: teller,
    });
    try {
      await ready(redis);
      await exchange.readAll((event) => throttle.apply(event));
    } catch {
      throw new CommandFailure(exitCode.failed, `Redis cannot be read: ${problem}.`);
    }
    const result = await work(throttle);
    if (await exchange.flush()) return result;
    throw new CommandFailure(exitCode.failed, `Redis did not take it: ${problem}.`);
  } finally {
    redis.disconnect();
  }
}

async function ready(redis: Redis): Promise<void> {
  if (redis.status === 'ready') return;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(() => reject(new Error('not ready')), connectMs);
  redis.once('ready', resolve);
  try {
    await promise;
  } finally {
    clearTimeout(timer);
  }
}

function networkTyped(text: string): string {
  if (isIP(text.replace(/\/\d+$/, '')) !== 0) return text;
  throw new CommandFailure(exitCode.usage, `--network takes an address such as 192.0.2.7, not "${text}".`);
}

/** Names by their tags; none where the database does not tell: the throttle is looked at in outages too. */
async function namesOf(
  filter: ThrottleFilter,
  options: Options,
  io: CommandIo,
): Promise<ReadonlyMap<string, string>> {
  const { config } = await configurationOf(options, io);
  const keys = await keysOf(config);
  const named = (addresses: readonly string[]) =>
    new Map(addresses.map((address) => [throttleTag(keys, address).toString('hex'), address]));
  if (filter.account !== null) return named([filter.account]);
  try {
    const all = withWorkbench(options, io, async (bench) => await listAddresses(bench.database), 'read');
    return named(await all);
  } catch (error) {
    if (error instanceof CommandFailure) return new Map();
    throw error;
  }
}
