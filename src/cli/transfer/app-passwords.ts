import { formatDuration, parseDuration } from '../../config/duration.ts';
import { canonicalName } from '../../credentials/account-name.ts';
import { planChange } from '../../credentials/app-password-change.ts';
import { isoOf } from '../../credentials/app-password-json.ts';
import type { AppPasswordChange } from '../../credentials/app-passwords.ts';
import { decodeFence, type Fence } from '../../credentials/fence.ts';
import { splitNetworks } from '../../credentials/network.ts';
import { isRowGenuine } from '../../credentials/row-mac.ts';
import { isScope, scopesOf } from '../../credentials/scope.ts';
import type { AddressedRow } from '../../store/app-passwords.ts';
import { appPasswordsOf, pageOfAppPasswords } from '../../store/pages.ts';
import type { Workbench } from '../workbench.ts';
import type { Entry, Line, LineProblem } from './file.ts';
import { type Kind, type Plan, pageRows, pagesOf, required, type Step } from './kind.ts';

const fenceColumns = {
  send_from: 'from',
  send_to: 'recipientDomains',
  messages_per_hour: 'messagesPerHour',
  messages_per_day: 'messagesPerDay',
  recipients_per_hour: 'recipientsPerHour',
  recipients_per_day: 'recipientsPerDay',
  max_size: 'maxBytes',
} as const satisfies Readonly<Record<string, keyof Fence>>;

/** What they are good for; never a secret. An import changes those that there are. */
export const appPasswords: Kind = {
  exported: 'app-passwords.exported',
  columns: [
    ...['id', 'account', 'label', 'state', 'scopes', 'networks', 'expires_at', 'expires_unused'],
    ...Object.keys(fenceColumns),
    // Shown, and not read: an import leaves them as they are.
    ...['first_use_by', 'created_at', 'created_by', 'revoked_at'],
    ...['last_used_at', 'last_used_address', 'last_used_protocol', 'last_used_client'],
  ],
  pages,
  plan,
};

async function* pages(bench: Workbench, onForged: () => void) {
  type Place = { readonly address: string; readonly id: Buffer };
  for (let after: Place | null = { address: '', id: Buffer.alloc(0) }; after !== null; ) {
    const page: readonly AddressedRow[] = await pageOfAppPasswords(bench.database, after, pageRows);
    const entries = page.map((row) => (isRowGenuine(bench.keys, row.address, row) ? entryOf(row) : null));
    for (const entry of entries) if (entry === null) onForged();
    yield entries.filter((entry) => entry !== null);
    after = page.length < pageRows ? null : (page.at(-1) ?? null);
  }
}

function entryOf(row: AddressedRow): Entry | null {
  const fence = decodeFence(row.fence);
  if (fence === null) return null;
  return {
    id: row.id.toString('hex'),
    account: row.address,
    label: row.label,
    state: row.state,
    scopes: scopesOf(row.scopes),
    networks: splitNetworks(row.networks),
    expires_at: isoOf(row.not_after),
    expires_unused: row.max_idle_ms === null ? null : formatDuration(row.max_idle_ms),
    ...Object.fromEntries(Object.entries(fenceColumns).map(([column, key]) => [column, fence[key]])),
    first_use_by: isoOf(row.first_use_by),
    created_at: isoOf(row.created_at),
    created_by: row.created_by,
    revoked_at: isoOf(row.revoked_at),
    last_used_at: isoOf(row.last_used_at),
    last_used_address: row.last_used_address,
    last_used_protocol: row.last_used_protocol,
    last_used_client: row.last_used_client,
  };
}

async function plan(bench: Workbench, lines: readonly Line[], now: number): Promise<Plan> {
  const steps: Step[] = [];
  const problems: LineProblem[] = [];
  const seen = new Set<string>();
  let unchanged = 0;
  for (const page of pagesOf(lines)) {
    const ids = page.flatMap((line) => {
      const id = idOf(line);
      return typeof id === 'string' ? [Buffer.from(id, 'hex')] : [];
    });
    const rows = await appPasswordsOf(bench.database, ids);
    const found = new Map(rows.map((row) => [row.id.toString('hex'), row]));
    for (const line of page) {
      const planned = stepOf(bench, line, { found, seen, now });
      if (planned === 'unchanged') unchanged += 1;
      else if ('problem' in planned) problems.push({ line: line.number, problem: planned.problem });
      else steps.push(planned);
    }
  }
  return { steps, unchanged, problems };
}

type Problem = { readonly problem: string };

function stepOf(
  bench: Workbench,
  line: Line,
  at: { readonly found: ReadonlyMap<string, AddressedRow>; readonly seen: Set<string>; readonly now: number },
): Step | Problem | 'unchanged' {
  const id = idOf(line);
  if (typeof id !== 'string') return id;
  if (at.seen.has(id)) return { problem: `${id} comes twice` };
  at.seen.add(id);
  const row = at.found.get(id);
  if (row === undefined) return { problem: `there is no app password ${id}; an import makes none` };
  const account = required(line, 'account');
  if (typeof account !== 'string') return account;
  if (canonicalName(account, bench.config.defaultDomain)?.address !== row.address) {
    return { problem: `${id} belongs to another account` };
  }
  if (!isRowGenuine(bench.keys, row.address, row)) {
    return { problem: `${id} was changed by hand in the database` };
  }
  const state = line.cells.get('state')?.trim() ?? '';
  if (row.state === 'revoked') {
    return state === 'revoked' || state === '' ? 'unchanged' : { problem: `${id} is revoked, and stays so` };
  }
  const done = { line: line.number, isNew: false };
  const { actor } = bench;
  if (state === 'revoked') {
    const reason = bench.because('revoked by an import');
    const run = async () => {
      const outcome = await bench.appPasswords.revoke(row.account_id, row.id, reason, actor);
      return outcome === 'not-found' ? 'it is gone' : null;
    };
    return { ...done, run };
  }
  const change = changeOf(line, row);
  if ('problem' in change) return change;
  const planned = planChange(row, change, at.now);
  if (planned.kind === 'invalid') return { problem: planned.problem };
  if (planned.kind === 'columns' && !planned.isChanged) return 'unchanged';
  const reason = bench.because('changed by an import');
  const run = async () => {
    const outcome = await bench.appPasswords.update(row.account_id, row.id, change, reason, actor);
    return outcome.kind === 'updated' ? null : 'it was changed meanwhile';
  };
  return { ...done, run };
}

function idOf(line: Line): string | Problem {
  const id = required(line, 'id');
  if (typeof id !== 'string' || /^[0-9a-f]{32}$/.test(id)) return id;
  return { problem: 'id is not 32 hexadecimal digits' };
}

function changeOf(line: Line, row: AddressedRow): AppPasswordChange | Problem {
  const { cells } = line;
  const label = cells.get('label');
  const scopes = cells.has('scopes') ? wordsOf(cells.get('scopes')) : undefined;
  const unknown = scopes?.find((scope) => !isScope(scope));
  if (unknown !== undefined) return { problem: `there is no scope "${unknown.slice(0, 32)}"` };
  const state = cells.get('state')?.trim() ?? '';
  if (state !== '' && state !== 'active' && state !== 'paused') {
    return { problem: 'state is one of active, paused, revoked' };
  }
  const expiresAt = cells.has('expires_at') ? momentOf(cells.get('expires_at'), row.not_after) : undefined;
  if (Number.isNaN(expiresAt))
    return { problem: 'expires_at is a moment such as 2027-01-31T00:00:00.000Z, or empty' };
  const maxIdleMs = cells.has('expires_unused') ? spanOf(cells.get('expires_unused')) : undefined;
  if (Number.isNaN(maxIdleMs)) return { problem: 'expires_unused is a duration such as 90d, or empty' };
  const fence = fenceOf(line);
  if ('problem' in fence) return fence as Problem;
  return {
    ...(label === undefined ? {} : { label }),
    ...(scopes === undefined ? {} : { scopes: scopes.filter(isScope) }),
    ...(cells.has('networks') ? { networks: wordsOf(cells.get('networks')) } : {}),
    ...(expiresAt === undefined ? {} : { expiresAt }),
    ...(maxIdleMs === undefined ? {} : { maxIdleMs }),
    ...(state === '' ? {} : { state }),
    fence,
  };
}

function wordsOf(cell: string | undefined): readonly string[] {
  return (cell ?? '').split(/[\s,]+/).filter((word) => word !== '');
}

/** NaN for what is no moment. A bare date is its first moment in UTC. */
function momentOf(cell: string | undefined, before: number | null): number | null {
  const text = cell?.trim() ?? '';
  if (text === '') return null;
  if (before !== null && text === isoOf(before)) return before;
  if (!/^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:\d\d))?$/.test(text))
    return Number.NaN;
  return Date.parse(text);
}

/** NaN for what is no duration. */
function spanOf(cell: string | undefined): number | null {
  const text = cell?.trim() ?? '';
  return text === '' ? null : parseDuration(text);
}

function fenceOf({ cells }: Line): Partial<Fence> | Problem {
  const fence: { -readonly [K in keyof Fence]?: readonly string[] | number | null } = {};
  for (const [column, key] of Object.entries(fenceColumns)) {
    const cell = cells.get(column)?.trim();
    if (cell === undefined) continue;
    if (key === 'from' || key === 'recipientDomains') fence[key] = cell === '' ? null : wordsOf(cell);
    else if (cell === '') fence[key] = null;
    else if (/^\d{1,13}$/.test(cell)) fence[key] = Number(cell);
    else return { problem: `${column} is a number, or empty` };
  }
  return fence as Partial<Fence>;
}
