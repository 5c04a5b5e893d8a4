import { userInfo } from 'node:os';
import type { Command } from 'commander';
import type { Config } from '../config/schema.ts';
import { giveOrder } from '../control/client.ts';
import { activateNewKeys, addNewKeys, checkRetirable, removeKey } from '../credentials/key-changes.ts';
import {
  createKeyFile,
  families,
  type KeyFamily,
  KeyFileError,
  type KeyFingerprint,
  keyFingerprints,
} from '../credentials/key-file.ts';
import { endUnderKey } from '../credentials/key-retirement.ts';
import { auditChainsUnder, type KeyUses, keyUses } from '../store/key-uses.ts';
import { CommandFailure, type CommandIo, type CommonOptions, exitCode, json, table } from './io.ts';
import { configurationOf, noteDone, withWorkbench } from './workbench.ts';

/** `keys init｜rotate｜activate｜reload｜status｜retire`. */
export function addKeysCommands(program: Command, io: CommandIo): void {
  const group = program.command('keys').description('the key file, without which the database opens nothing');

  group
    .command('init')
    .description('make the key file (mode 0600); never replaces one')
    .action(async (_: unknown, command: Command) => {
      const options: CommonOptions = command.optsWithGlobals();
      const { config } = await configurationOf(options, io);
      await refusing(createKeyFile(config.keysFile, io.now()));
      if (options.json === true) {
        io.out(json({ keysFile: config.keysFile }));
        return;
      }
      io.out(`Key file ${config.keysFile} made. Back it up, and not where the database backups are:`);
      io.out('without it every app password is lost, and with both an attacker can guess offline.');
    });

  group
    .command('rotate [family]')
    .description(
      'new keys for pepper, mac, seal or all; the old ones stay accepted. On one node they are in use at once; ' +
        'with Redis or PostgreSQL they wait for `keys activate`, until every node has the file',
    )
    .action(async (family: string | undefined, _: unknown, command: Command) =>
      rotate(familyOf(family), command.optsWithGlobals(), io),
    );

  group
    .command('activate [family]')
    .description('put new keys into use, once every node has the key file and has reloaded it')
    .action(async (family: string | undefined, _: unknown, command: Command) => {
      const options: CommonOptions = command.optsWithGlobals();
      const { config } = await configurationOf(options, io);
      await reload(config, 'nothing was changed');
      await activate(config, familyOf(family), options, io);
    });

  group
    .command('reload')
    .description('let the gateway of this host read the key file again, as SIGHUP does')
    .action(async (_: unknown, command: Command) => {
      const options: CommonOptions = command.optsWithGlobals();
      const { config } = await configurationOf(options, io);
      const isRunning = await reload(config, 'nothing was changed');
      if (!isRunning) throw new CommandFailure(exitCode.failed, 'No gateway runs here.');
      io.out(options.json === true ? json({ reloaded: true }) : 'The gateway has read the key file.');
    });

  group
    .command('status')
    .description('which keys there are and how many rows are under each: a fingerprint, never a key')
    .action(async (_: unknown, command: Command) => status(command.optsWithGlobals(), io));

  group
    .command('retire <family> <id>')
    .description('take an old key out of the file for ever; refused while rows are under it')
    .option('--force', 'end what is under it: app passwords, codes and portal sessions; seeds are lost')
    .action(async (family: string, id: string, _: unknown, command: Command) =>
      retire(family, id, command.optsWithGlobals(), io),
    );
}

async function rotate(family: KeyFamily | 'all', options: CommonOptions, io: CommandIo): Promise<void> {
  const { config } = await configurationOf(options, io);
  const before = await refusing(keyFingerprints(config.keysFile));
  const added = await refusing(addNewKeys(config.keysFile, family, io.now()));
  for (const { family: of, id } of added) {
    // One that waited already was entered when it was made.
    const isKnown = before.some((key) => key.family === of && key.id === id);
    if (!isKnown) await noteDone(options, io, { action: 'keys.added', family: of, key: id });
  }
  const names = added.map((each) => `${each.family} ${each.id}`).join(', ');
  await reload(config, `new keys are in the file (${names}) and not yet in use; \`keys rotate\` goes on`);
  if (!mayHaveNodes(config)) {
    await activate(config, family, options, io);
    return;
  }
  if (options.json === true) {
    io.out(json({ added, activated: [] }));
    return;
  }
  io.out(`New keys are in ${config.keysFile}: ${names}. They are not in use yet.`);
  io.out('Copy the file to every node and reload each (`sallyport keys reload` or SIGHUP).');
  io.out('Then run `sallyport keys activate`, copy the file and reload once more.');
}

async function activate(
  config: Config,
  family: KeyFamily | 'all',
  options: CommonOptions,
  io: CommandIo,
): Promise<void> {
  const activated = await refusing(activateNewKeys(config.keysFile, family));
  for (const family of activated) await noteDone(options, io, { action: 'keys.rotated', family });
  const isRunning = await reload(config, 'new keys are in use in the file; run `keys reload`');
  if (options.json === true) {
    io.out(json({ activated, isRunning }));
    return;
  }
  io.out(
    `New keys are in use: ${activated.join(', ')}. The old ones stay accepted until \`sallyport keys retire\`.`,
  );
  if (mayHaveNodes(config)) io.out('Copy the key file to every other node and reload it there.');
  io.out('`sallyport keys status` shows how far the rows have moved: hashes move at the next login of each.');
}

async function status(options: CommonOptions, io: CommandIo): Promise<void> {
  const { config } = await configurationOf(options, io);
  const keys = await refusing(keyFingerprints(config.keysFile));
  const uses = await usesOf(keys, options, io);
  if (options.json === true) {
    io.out(json(keys.map((key, index) => ({ ...key, rows: uses?.[index] ?? null }))));
    return;
  }
  const rows = keys.map((key, index) => [
    key.family,
    String(key.id),
    key.state,
    key.created,
    key.fingerprint ?? '',
    uses === null ? 'not counted' : told(uses[index] ?? []),
  ]);
  for (const line of table(['family', 'id', 'state', 'created', 'fingerprint', 'rows'], rows)) io.out(line);
}

/** null where the database cannot be asked; the key file can be looked at before there is one. */
async function usesOf(
  keys: readonly KeyFingerprint[],
  options: CommonOptions,
  io: CommandIo,
): Promise<readonly (readonly KeyUses[])[] | null> {
  try {
    return await withWorkbench(
      options,
      io,
      async ({ database }) => {
        const uses: (readonly KeyUses[])[] = [];
        for (const { family, id } of keys) uses.push(await keyUses(database, family, id));
        return uses;
      },
      'read',
    );
  } catch (error) {
    if (!(error instanceof CommandFailure)) throw error;
    io.err(`Warning: rows are not counted. ${error.message}`);
    return null;
  }
}

async function retire(
  typedFamily: string,
  typedId: string,
  options: CommonOptions & { readonly force?: boolean },
  io: CommandIo,
): Promise<void> {
  const family = families.find((each) => each === typedFamily);
  const id = /^\d{1,10}$/.test(typedId) ? Number(typedId) : Number.NaN;
  if (family === undefined || Number.isNaN(id)) {
    throw new CommandFailure(exitCode.usage, 'Say which key: pepper, mac or seal, and its number.');
  }
  const { config } = await configurationOf(options, io);
  await refusing(checkRetirable(config.keysFile, family, id));
  await withWorkbench(options, io, async (bench) => {
    // Moves the mark of the state directory too, which is under a mac key.
    await bench.revocations.announce();
    const before = await keyUses(bench.database, family, id);
    if (before.length > 0 && options.force !== true) {
      throw new CommandFailure(
        exitCode.failed,
        `${family} key ${id} is needed by ${told(before)}. They move at logins and restarts; --force ends them.`,
      );
    }
    const chains = family === 'mac' ? await auditChainsUnder(bench.database, id) : 0;
    if (chains > 0 && options.force !== true) {
      throw new CommandFailure(
        exitCode.failed,
        `Without mac key ${id} nobody can check ${chains} chains of the audit trail any more: keep it for as long as ` +
          'audit.keep, or run `audit verify` and `audit export` and give --force.',
      );
    }
    const parts = { ...bench, now: io.now };
    const ended = await endUnderKey(parts, family, id, `${family} key ${id} retired by ${bench.operator}`);
    await refusing(removeKey(config.keysFile, family, id));
    await bench.record(bench.database, { account: null, event: { action: 'keys.retired', family, key: id } });
    await reload(config, 'the key is out of the file; run `keys reload`');
    if (options.json === true) {
      io.out(json({ family, id, ended, lost: await keyUses(bench.database, family, id) }));
      return;
    }
    io.out(`${family} key ${id} is retired.`);
    if (ended.appPasswords > 0) io.out(`${ended.appPasswords} app passwords were revoked with it.`);
    if (ended.codes > 0) io.out(`${ended.codes} recovery and enrollment codes were deleted with it.`);
    if (ended.portalSessions > 0) io.out(`${ended.portalSessions} portal sessions were ended with it.`);
    if (mayHaveNodes(config)) io.out('Copy the key file to every other node and reload it there.');
  });
}

/** Answers whether a gateway runs here. `otherwise` says what state a refusal leaves. */
async function reload(config: Config, otherwise: string): Promise<boolean> {
  const order = { name: 'keys-reload', operator: `cli:${userInfo().username}`, details: null };
  const outcome = await giveOrder(config.stateDir, order);
  if (outcome.kind !== 'refused') return outcome.kind === 'done';
  throw new CommandFailure(exitCode.failed, `${outcome.problem} (${otherwise}).`);
}

/** Whether other nodes may work on the same database with copies of the key file. */
function mayHaveNodes(config: Config): boolean {
  return config.redis !== null || config.database.engine !== 'sqlite';
}

function told(uses: readonly KeyUses[]): string {
  return uses.length === 0 ? '0' : uses.map(({ table, rows }) => `${rows} ${table}`).join(', ');
}

function familyOf(typed: string | undefined): KeyFamily | 'all' {
  const chosen = ([...families, 'all'] as const).find((known) => known === (typed ?? 'all'));
  if (chosen !== undefined) return chosen;
  throw new CommandFailure(
    exitCode.usage,
    `The family is one of ${families.join(', ')}, all, not "${typed}".`,
  );
}

/** Why a key file is refused is the operator's to mend: exit 78 with the reason. */
async function refusing<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof KeyFileError) throw new CommandFailure(exitCode.configuration, error.message);
    throw error;
  }
}
