import { z } from 'zod';
import type { Config } from '../../../config/schema.ts';
import { describeStale, isoOf } from '../../../credentials/app-password-json.ts';
import { formatRecoveryCode } from '../../../identity/second-factor/recovery-code.ts';
import { type AccountSummary, searchAccounts } from '../../../store/account-search.ts';
import { pageAuditEntries } from '../../../store/audit-pages.ts';
import type { Database } from '../../../store/database.ts';
import type { RowGuard } from '../../../store/row-guard.ts';
import type { AccountOverview } from '../../actions/account-overview.ts';
import { type AdministrationActions, administratorOf, type Subject } from '../../actions/administration.ts';
import { readTrailEntry, trailPlace, trailPlaceText } from '../../actions/trail.ts';
import { type ApiProblem, problem } from '../problem.ts';
import { type ApiRoute, act, read, result } from '../route.ts';
import {
  appPasswordOf,
  appPasswordShape,
  describeMailSession,
  describeMethod,
  hexId,
  mailSessionsShape,
  methodShape,
  staleShape,
  time,
} from '../shapes.ts';
import { eventPageShape, pageOfEvents } from './activity.ts';
import { administrationActRoutes } from './administration-acts.ts';

const accountsPerPage = 50;
const entriesPerPage = 50;

/** `forged`: not as the gateway wrote it. */
const accountState = z.enum(['active', 'disabled', 'forged']);
const policy = z.enum(['domain', 'required', 'optional', 'off']);

const summaryShape = z.object({
  id: hexId,
  address: z.string(),
  state: accountState,
  mfa: policy,
  isEnrolled: z.boolean(),
  liveAppPasswords: z.int(),
  lastUsedAt: time.nullable(),
});

const accountShape = z.object({
  id: hexId,
  address: z.string(),
  state: accountState,
  mfa: policy,
  createdAt: time,
  methods: z.array(methodShape),
  appPasswords: z.array(appPasswordShape),
  stale: z.array(staleShape),
  /** null: cannot be told. */
  open: mailSessionsShape.nullable(),
});

const fact = z.union([z.string(), z.number(), z.null(), z.array(z.string())]);
const entryShape = z.object({
  at: time,
  action: z.string(),
  /** null where the entry cannot be read. */
  entry: z
    .object({
      actor: z.object({
        kind: z.string(),
        account: z.string().optional(),
        user: z.string().optional(),
        address: z.string().nullish(),
      }),
      account: z.object({ id: z.string(), address: z.string() }).nullable(),
      object: z.record(z.string(), fact),
      reason: z.string().nullable(),
    })
    .nullable(),
});

/** Looking after other people's accounts. To whoever may not it does not exist. */
export function administrationRoutes(parts: {
  readonly config: Config;
  readonly database: Database;
  readonly guard: RowGuard;
  readonly administration: AdministrationActions;
  readonly overview: AccountOverview;
}): readonly ApiRoute[] {
  const { config, database, guard, administration, overview } = parts;
  const role = 'administrator' as const;

  const subjectOf = async (id: Buffer | null): Promise<Subject | ApiProblem> =>
    (id === null ? null : await administration.find(id)) ?? problem('not-found');

  return [
    read(
      '/administration/accounts',
      'full',
      {
        ...{ role, summary: 'Accounts by address.' },
        query: { find: 'Part of the address.', after: 'The last address of the page before.' },
        result: z.object({ accounts: z.array(summaryShape), isMore: z.boolean() }),
      },
      async ({ query }) => {
        const found = await searchAccounts(database, guard, {
          text: (query.find ?? '').trim().slice(0, 254),
          after: query.after ?? null,
          limit: accountsPerPage + 1,
        });
        return result({
          accounts: found.slice(0, accountsPerPage).map(describeSummary),
          isMore: found.length > accountsPerPage,
        });
      },
    ),
    act(
      '/administration/accounts',
      'stepped-up',
      {
        ...{ role, summary: 'Makes an account, or answers the one that there is.' },
        body: { address: z.string().max(1_000) },
        status: 201,
        result: z.object({ id: hexId, address: z.string(), isNew: z.boolean() }),
      },
      async ({ session, peer, body }) => {
        const order = { actor: administratorOf(session, peer), reason: undefined };
        const made = await administration.create(body.address.trim(), order);
        if (made === null)
          return problem('invalid', { errors: [{ pointer: '#/address', code: 'bad-value' }] });
        const { account, created } = made;
        return result({ id: account.id.toString('hex'), address: account.address, isNew: created });
      },
    ),
    read(
      '/administration/accounts/:id',
      'full',
      { ...{ role, summary: 'One account. Looking at it stands in the audit trail.' }, result: accountShape },
      async ({ session, peer, id }) => {
        const subject = await subjectOf(id);
        if ('code' in subject) return subject;
        await administration.look(session, subject, peer);
        const { account, genuine } = subject;
        const { appPasswords, methods, stale, open } = await overview.read(subject);
        return result({
          id: account.id.toString('hex'),
          address: account.address,
          state: genuine === null ? 'forged' : account.state,
          mfa: account.mfa ?? 'domain',
          createdAt: isoOf(account.created_at),
          methods: methods.map(describeMethod),
          appPasswords: appPasswords.map(appPasswordOf),
          stale: stale.map(describeStale),
          open:
            open === null
              ? null
              : { sessions: open.sessions.map(describeMailSession), isPartial: open.isPartial },
        });
      },
    ),
    read(
      '/administration/accounts/:id/activity',
      'full',
      {
        ...{ role, summary: 'Its sign-ins and refusals. Looking at them stands in the audit trail.' },
        query: { after: '"next" of the page before.' },
        result: eventPageShape,
      },
      async ({ session, peer, id, query }) => {
        const subject = await subjectOf(id);
        if ('code' in subject) return subject;
        await administration.look(session, subject, peer);
        return result(
          await pageOfEvents(query.after, async (after, limit) =>
            overview.activity(subject.account, after, limit),
          ),
        );
      },
    ),
    ...administrationActRoutes({
      administration,
      show: ({ secret, until }) => {
        const code = formatRecoveryCode(secret);
        secret.wipe();
        return { code, until: isoOf(until) };
      },
    }),
    read(
      '/administration/trail',
      'full',
      {
        ...{ role, summary: 'The audit trail, the newest entry first.' },
        query: { account: 'Id of the account it is about.', before: '"next" of the page before.' },
        result: z.object({ entries: z.array(entryShape), next: z.string().nullable() }),
      },
      async ({ session, peer, query }) => {
        let accountId: Buffer | null = null;
        if (query.account !== undefined) {
          const isId = /^[0-9a-f]{32}$/.test(query.account);
          const subject = await subjectOf(isId ? Buffer.from(query.account, 'hex') : null);
          if ('code' in subject) return subject;
          await administration.look(session, subject, peer);
          accountId = subject.account.id;
        }
        const found = await pageAuditEntries(
          database,
          trailPlace(query.before),
          accountId,
          entriesPerPage + 1,
        );
        const rows = found.slice(0, entriesPerPage);
        const last = rows.at(-1);
        return result({
          entries: rows.map((row) => ({
            at: isoOf(row.at),
            action: row.action,
            entry: readTrailEntry(row, config),
          })),
          next: found.length > entriesPerPage && last !== undefined ? trailPlaceText(last) : null,
        });
      },
    ),
  ];
}

function describeSummary(account: AccountSummary): z.input<typeof summaryShape> {
  return {
    id: account.id.toString('hex'),
    address: account.address,
    state: account.isGenuine ? account.state : 'forged',
    mfa: account.mfa ?? 'domain',
    isEnrolled: account.isEnrolled,
    liveAppPasswords: account.liveAppPasswords,
    lastUsedAt: isoOf(account.lastUsedAt),
  };
}
