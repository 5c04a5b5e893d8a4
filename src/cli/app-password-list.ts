import { describeStale } from '../credentials/app-password-json.ts';
import type { AppPasswordView } from '../credentials/app-passwords.ts';
import { listStaleClients } from '../store/stale-clients.ts';
import { describe, expiryOf, lastUseOf, warningOf } from './app-password-view.ts';
import { CommandFailure, type CommandIo, type CommonOptions, exitCode, json, moment, table } from './io.ts';
import { accountOf, type Workbench, withWorkbench } from './workbench.ts';

export async function showAppPassword(id: string, options: CommonOptions, io: CommandIo): Promise<void> {
  const bytes = idOf(id);
  const work = async (bench: Workbench) => {
    const view = describe(await existing(bench, bytes));
    if (options.json === true) {
      io.out(json(view));
      return;
    }
    const { fence, ...rest } = view;
    const set = fence === null ? [['fence', 'not understood by this version']] : Object.entries(fence);
    const rows = [...Object.entries(rest), ...set].filter(([, value]) => value !== null);
    for (const line of table(
      ['what', 'value'],
      rows.map((row) => row.map(String)),
    ))
      io.out(line);
  };
  await withWorkbench(options, io, work, 'read');
}

/** A device that was silent for so long is switched off. */
const staleForMs = 7 * 86_400_000;

export async function listAppPasswords(
  options: CommonOptions & { account: string },
  io: CommandIo,
): Promise<void> {
  const work = async (bench: Workbench) => {
    const account = await accountOf(bench, options.account);
    const views = await bench.appPasswords.list(account.id);
    const stale = await listStaleClients(bench.database, account.id, io.now() - staleForMs);
    if (options.json === true) {
      const staleOf = (id: Buffer) => stale.find((each) => each.credential_id.equals(id));
      const described = views.map((view) => {
        const found = staleOf(view.id);
        return {
          account: account.address,
          ...describe(view),
          staleClient: found === undefined ? null : describeStale(found),
        };
      });
      io.out(json(described));
      return;
    }
    if (views.length === 0) {
      io.out(`${account.address} has no app passwords.`);
      return;
    }
    const rows = views.map((view) => [
      view.id.toString('hex'),
      view.label,
      view.state,
      view.scopes.join(','),
      moment(view.createdAt),
      view.state === 'revoked' ? '' : expiryOf(view),
      lastUseOf(view),
    ]);
    const header = ['id', 'label', 'state', 'scopes', 'created', 'expires', 'last used'];
    for (const line of table(header, rows)) io.out(line);
    for (const each of stale) io.out(warningOf(each));
  };
  await withWorkbench(options, io, work, 'read');
}

export async function existing(bench: Workbench, id: Buffer): Promise<AppPasswordView> {
  const view = await bench.appPasswords.find(id);
  if (view === null) throw notFound(id.toString('hex'));
  return view;
}

export function idOf(text: string): Buffer {
  if (/^[0-9a-f]{32}$/.test(text)) return Buffer.from(text, 'hex');
  throw new CommandFailure(
    exitCode.usage,
    `"${text}" is not an id: 32 hexadecimal digits, see \`app-password list\`.`,
  );
}

export function notFound(id: string): CommandFailure {
  return new CommandFailure(exitCode.failed, `There is no app password ${id}.`);
}
