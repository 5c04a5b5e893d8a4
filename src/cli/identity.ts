import type { Command } from 'commander';
import type { OidcProvider } from '../config/oidc-schema.ts';
import type { Config } from '../config/schema.ts';
import { linkIdentity, listIdentityLinks, unlinkIdentity } from '../store/identity-links.ts';
import { CommandFailure, type CommandIo, type CommonOptions, exitCode, json, moment, table } from './io.ts';
import { accountOf, accountToEnd, withWorkbench } from './workbench.ts';

interface Options extends CommonOptions {
  readonly account: string;
  readonly provider: string;
  readonly subject: string;
}

/** `identity list｜link｜unlink`: who at an identity provider an account belongs to. */
export function addIdentityCommands(program: Command, io: CommandIo): void {
  const group = program
    .command('identity')
    .description('who of an identity provider signs in to which account');

  group
    .command('list')
    .description('the identities linked to an account')
    .requiredOption('--account <address>', 'whose')
    .action(async (_: unknown, command: Command) => list(command.optsWithGlobals(), io));

  group
    .command('link')
    .description('let a person of an identity provider sign in to the account')
    .requiredOption('--account <address>', 'which account')
    .requiredOption('--provider <name>', 'a name under oidc in the configuration')
    .requiredOption('--subject <sub>', 'who: the sub claim, which the log tells of a refused sign-in')
    .action(async (_: unknown, command: Command) => link(command.optsWithGlobals(), io));

  group
    .command('unlink')
    .description('take it back and end the portal sessions of the account')
    .requiredOption('--account <address>', 'which account')
    .requiredOption('--provider <name>', 'a name under oidc in the configuration')
    .action(async (_: unknown, command: Command) => unlink(command.optsWithGlobals(), io));
}

async function list(options: Options, io: CommandIo): Promise<void> {
  await withWorkbench(
    options,
    io,
    async ({ database, guard, ...bench }) => {
      const account = await accountToEnd({ database, guard, ...bench }, options.account);
      const links = (await listIdentityLinks(database, account.id)).map((row) => ({
        issuer: row.issuer,
        subject: row.subject,
        linkedAt: row.created_at,
        linkedBy: row.created_by,
        genuine: guard.isGenuine('identity_link', row),
      }));
      if (options.json === true) {
        io.out(json(links));
        return;
      }
      if (links.length === 0) io.out(`${account.address} is linked to nobody.`);
      else {
        const rows = links.map(({ issuer, subject, linkedAt, linkedBy, genuine }) => [
          ...[issuer, subject, moment(linkedAt), linkedBy, genuine ? '' : 'forged: opens nothing'],
        ]);
        for (const line of table(['issuer', 'subject', 'linked', 'by', ''], rows)) io.out(line);
      }
    },
    'read',
  );
}

async function link(options: Options, io: CommandIo): Promise<void> {
  // OpenID Connect Core 2
  if (!/^[\x20-\x7e]{1,255}$/.test(options.subject)) {
    throw new CommandFailure(exitCode.usage, 'The subject is 1 to 255 ASCII characters.');
  }
  await withWorkbench(options, io, async (bench) => {
    const { issuer } = providerOf(bench.config, options.provider);
    const account = await accountOf(bench, options.account);
    const domain = account.address.slice(account.address.lastIndexOf('@') + 1);
    const signIn = bench.config.domains[domain]?.signIn;
    if (signIn?.method !== 'oidc' || signIn.provider !== options.provider) {
      throw new CommandFailure(exitCode.failed, `${domain} does not sign in with ${options.provider}.`);
    }
    const { subject } = options;
    await bench.database.transaction().execute(async (transaction) => {
      const made = { at: io.now(), by: 'operator' } as const;
      if (!(await linkIdentity(transaction, bench.guard, account.id, { issuer, subject }, made))) {
        throw new CommandFailure(
          exitCode.failed,
          'Either the account or the person is linked already. `sallyport identity list` shows, unlink takes back.',
        );
      }
      await bench.record(transaction, { account, event: { action: 'identity.linked', issuer } });
    });
    const linked = { address: account.address, issuer, subject };
    io.out(options.json === true ? json(linked) : `${account.address} is linked to ${subject} of ${issuer}.`);
  });
}

async function unlink(options: Options, io: CommandIo): Promise<void> {
  await withWorkbench(options, io, async (bench) => {
    const { issuer } = providerOf(bench.config, options.provider);
    const account = await accountToEnd(bench, options.account);
    await bench.database.transaction().execute(async (transaction) => {
      if (!(await unlinkIdentity(transaction, account.id, issuer))) {
        throw new CommandFailure(exitCode.failed, `${account.address} is linked to nobody of ${issuer}.`);
      }
      await bench.record(transaction, { account, event: { action: 'identity.unlinked', issuer } });
    });
    const unlinked = { address: account.address, issuer };
    io.out(
      options.json === true
        ? json(unlinked)
        : `${account.address} is linked to nobody of ${issuer} any more.`,
    );
  });
}

function providerOf(config: Config, name: string): OidcProvider {
  const provider = Object.hasOwn(config.oidc, name) ? config.oidc[name] : undefined;
  if (provider !== undefined) return provider;
  throw new CommandFailure(exitCode.usage, `There is no provider "${name}" under oidc in the configuration.`);
}
