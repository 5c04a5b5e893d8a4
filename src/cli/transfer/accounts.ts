import { canonicalName } from '../../credentials/account-name.ts';
import type { JournalEvent } from '../../credentials/journal.ts';
import { createAccount, disableAccount, enableAccount, setAccountMfa } from '../../store/accounts.ts';
import { accountsAt, pageOfAccounts } from '../../store/pages.ts';
import type { Account } from '../../store/schema.ts';
import type { Workbench } from '../workbench.ts';
import type { Line, LineProblem } from './file.ts';
import { type Kind, type Plan, pageRows, pagesOf, required, type Step } from './kind.ts';

/** What a line wants an account to be; undefined leaves it. */
interface Wanted {
  readonly address: string;
  readonly state: Account['state'] | undefined;
  readonly mfa: Account['mfa'] | undefined;
}

/** Addresses, states and policies. */
export const accounts: Kind = {
  exported: 'accounts.exported',
  columns: ['address', 'state', 'mfa', 'created_at'],
  pages,
  plan,
};

async function* pages(bench: Workbench, onForged: () => void) {
  for (let after: string | null = ''; after !== null; ) {
    const page: readonly Account[] = await pageOfAccounts(bench.database, after, pageRows);
    const genuine = page.filter((account) => bench.guard.isGenuine('account', account));
    for (let index = genuine.length; index < page.length; index += 1) onForged();
    yield genuine.map(({ address, state, mfa, created_at }) => ({
      ...{ address, state, mfa: mfa ?? 'domain' },
      created_at: new Date(created_at).toISOString(),
    }));
    after = page.length < pageRows ? null : (page.at(-1)?.address ?? null);
  }
}

async function plan(bench: Workbench, lines: readonly Line[], now: number): Promise<Plan> {
  const steps: Step[] = [];
  const problems: LineProblem[] = [];
  const seen = new Set<string>();
  let unchanged = 0;
  for (const page of pagesOf(lines)) {
    const wanted = page.map((line) => ({ line, wanted: wantedOf(bench, line, seen) }));
    const addresses = wanted.flatMap((each) => ('address' in each.wanted ? [each.wanted.address] : []));
    const found = new Map((await accountsAt(bench.database, addresses)).map((each) => [each.address, each]));
    for (const { line, wanted: want } of wanted) {
      if ('problem' in want) {
        problems.push({ line: line.number, problem: want.problem });
        continue;
      }
      const account = found.get(want.address) ?? null;
      if (account !== null && !bench.guard.isGenuine('account', account)) {
        problems.push({ line: line.number, problem: `${want.address} was changed by hand in the database` });
        continue;
      }
      const state = want.state ?? account?.state ?? 'active';
      const mfa = want.mfa === undefined ? (account?.mfa ?? null) : want.mfa;
      if (account !== null && account.state === state && account.mfa === mfa) {
        unchanged += 1;
        continue;
      }
      steps.push({
        line: line.number,
        isNew: account === null,
        run: async () => {
          await write(bench, { address: want.address, state, mfa }, now);
          return null;
        },
      });
    }
  }
  return { steps, unchanged, problems };
}

function wantedOf(bench: Workbench, line: Line, seen: Set<string>): Wanted | { readonly problem: string } {
  const typed = required(line, 'address');
  if (typeof typed !== 'string') return typed;
  const name = canonicalName(typed, bench.config.defaultDomain);
  if (name === null) return { problem: 'address is no mailbox address' };
  if (!Object.hasOwn(bench.config.domains, name.domain)) {
    return { problem: `${name.domain} is not among the configured domains` };
  }
  if (seen.has(name.address)) return { problem: `${name.address} comes twice` };
  seen.add(name.address);
  const state = choiceOf(line, 'state', { active: 'active', disabled: 'disabled' } as const);
  const mfa = choiceOf(line, 'mfa', {
    ...({ required: 'required', optional: 'optional', off: 'off' } as const),
    domain: null,
  });
  if (state !== null && typeof state === 'object') return state;
  if (mfa !== null && typeof mfa === 'object') return mfa;
  return { address: name.address, state, mfa };
}

/** undefined where the line does not say. */
function choiceOf<C extends string | null>(
  line: Line,
  column: string,
  choices: Readonly<Record<string, C>>,
): C | undefined | { readonly problem: string } {
  const cell = line.cells.get(column)?.trim() ?? '';
  if (cell === '') return undefined;
  if (Object.hasOwn(choices, cell)) return choices[cell];
  return { problem: `${column} is one of ${Object.keys(choices).join(', ')}` };
}

async function write(
  bench: Workbench,
  want: { readonly address: string; readonly state: Account['state']; readonly mfa: Account['mfa'] },
  now: number,
): Promise<void> {
  const { database, guard } = bench;
  const isDisabled = await database.transaction().execute(async (transaction) => {
    const { account, created } = await createAccount(transaction, guard, want.address, now);
    const record = async (event: JournalEvent) => await bench.record(transaction, { account, event });
    if (created) await record({ action: 'account.created' });
    if (account.mfa !== want.mfa) {
      await setAccountMfa(transaction, guard, account.id, want.mfa);
      await record({ action: 'account.mfa-set', mfa: want.mfa });
    }
    if (account.state === want.state) return false;
    if (want.state === 'active') {
      await enableAccount(transaction, guard, account.id);
      await record({ action: 'account.enabled' });
      return false;
    }
    await disableAccount(transaction, guard, account.id, now);
    await record({ action: 'account.disabled' });
    return true;
  });
  if (isDisabled) await bench.revocations.announce();
}
