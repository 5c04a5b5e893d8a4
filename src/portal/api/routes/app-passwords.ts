import { z } from 'zod';
import type { Config } from '../../../config/schema.ts';
import { formatAppPassword } from '../../../credentials/app-password.ts';
import { describeStale } from '../../../credentials/app-password-json.ts';
import type { AppPasswordView } from '../../../credentials/app-passwords.ts';
import { noFence } from '../../../credentials/fence.ts';
import type { Database } from '../../../store/database.ts';
import { listStaleClients } from '../../../store/stale-clients.ts';
import { staleMs } from '../../actions/account-overview.ts';
import type { AppPasswordWish, WishProblem } from '../../actions/app-password-wish.ts';
import type { AppPasswordActions, Asking, Changed, WishedEnd } from '../../actions/app-passwords.ts';
import type { MailSessionActions } from '../../actions/sessions.ts';
import { type FieldError, problem } from '../problem.ts';
import { type ApiAnswer, type ApiRoute, type ApiVisit, act, read, result } from '../route.ts';
import { sessionEnded } from '../session-state.ts';
import { appPasswordOf, appPasswordShape, fence, scope, staleShape } from '../shapes.ts';

const daySeconds = 86_400;
const seconds = z
  .int()
  .min(3_600)
  .max(3_650 * daySeconds);
/** Shorter than what a body may hold, longer than what a list of the wish may have: the wish says what is too many. */
const names = z.array(z.string().max(320)).max(100);

const wish = {
  label: z.string().max(1_000),
  scopes: z.array(scope).max(10),
  networks: names.optional(),
  fence: z
    .strictObject({ ...fence.shape, from: names.nullable(), recipientDomains: names.nullable() })
    .partial()
    .optional(),
  end: z
    .discriminatedUnion('kind', [
      z.strictObject({ kind: z.literal('never') }),
      z.strictObject({ kind: z.literal('usual') }),
      z.strictObject({ kind: z.literal('after'), seconds }),
      z.strictObject({ kind: z.literal('unused-for'), seconds }),
    ])
    .optional(),
};
type Wished = { readonly [Name in keyof typeof wish]: z.output<(typeof wish)[Name]> };

/** App passwords: every one is found by its id and the session's account (S-67). */
export function appPasswordRoutes(parts: {
  readonly config: Config;
  readonly database: Database;
  readonly actions: AppPasswordActions;
  readonly mailSessions: MailSessionActions;
  readonly now: () => number;
}): readonly ApiRoute[] {
  const { config, database, actions, mailSessions, now } = parts;

  const withOwn = async <R>(
    { session, id }: ApiVisit<'full' | 'stepped-up', unknown>,
    then: (own: AppPasswordView) => Promise<ApiAnswer<R>>,
  ): Promise<ApiAnswer<R>> => {
    const own = await actions.find(session.account, id);
    return own === null ? problem('not-found') : await then(own);
  };

  const changed = (outcome: Changed): ApiAnswer<z.input<typeof appPasswordShape>> => {
    switch (outcome.kind) {
      case 'changed':
        return result(appPasswordOf(outcome.row));
      case 'invalid':
        return problem('invalid', { errors: outcome.problems.map(errorOf) });
      case 'not-found':
      case 'revoked':
      case 'unchangeable':
        return problem(outcome.kind);
      default:
        return outcome satisfies never;
    }
  };

  return [
    read(
      '/app-passwords',
      'full',
      {
        summary: 'App passwords of the account, the newest first, and devices that go on sending ended ones.',
        result: z.object({
          appPasswords: z.array(appPasswordShape),
          most: z.int(),
          stale: z.array(staleShape),
        }),
      },
      async ({ session: { account } }) =>
        result({
          appPasswords: (await actions.list(account)).map(appPasswordOf),
          most: config.appPasswords.maxPerAccount,
          stale: (await listStaleClients(database, account.id, now() - staleMs)).map(describeStale),
        }),
    ),
    act(
      '/app-passwords',
      'stepped-up',
      {
        summary: 'Makes an app password. Its secret is in this answer and nowhere else.',
        body: wish,
        status: 201,
        result: appPasswordShape.extend({ secret: z.string() }),
        problems: ['limit-reached', 'held', 'refused'],
      },
      async (visit) => {
        const created = await actions.create(asking(visit), wishOf(visit.body), endOf(visit.body));
        switch (created.kind) {
          case 'created': {
            const secret = formatAppPassword(created.secret);
            created.secret.wipe();
            return result({ ...appPasswordOf(created.row), secret });
          }
          case 'invalid':
            return problem('invalid', { errors: created.problems.map(errorOf) });
          case 'cap-reached':
            return problem('limit-reached', { most: created.cap });
          case 'too-many-recently':
            return problem('limit-reached', { most: created.perHour, because: 'hour' });
          case 'held':
            return problem('held', { until: created.until });
          case 'session-gone':
            return sessionEnded;
          case 'refused':
            return problem('refused');
          default:
            return created satisfies never;
        }
      },
    ),
    act(
      '/app-passwords/revoke-all',
      'stepped-up',
      {
        summary: 'Revokes every app password of the account.',
        body: {},
        result: z.object({ revoked: z.int() }),
      },
      async (visit) => result({ revoked: await actions.revokeAll(asking(visit)) }),
    ),
    read(
      '/app-passwords/:id',
      'full',
      { summary: 'One app password.', result: appPasswordShape },
      async (visit) => withOwn(visit, async (own) => result(appPasswordOf(own))),
    ),
    act(
      '/app-passwords/:id',
      'stepped-up',
      {
        summary: 'Changes what it is good for; of that what is not said stays. Its open connections end.',
        body: {
          label: wish.label.optional(),
          scopes: wish.scopes.optional(),
          networks: wish.networks,
          fence: wish.fence,
          end: wish.end,
        },
        result: appPasswordShape,
        problems: ['revoked', 'unchangeable'],
      },
      async (visit) =>
        withOwn(visit, async (own) => {
          if (own.fence === null) return problem('unchangeable');
          const { label = own.label, scopes = [...own.scopes], networks, end } = visit.body;
          const wished: AppPasswordWish = {
            label,
            scopes,
            networks: networks ?? own.networks,
            fence: { ...own.fence, ...said(visit.body.fence) },
          };
          const wishedEnd = end === undefined ? null : endOf({ end });
          return changed(await actions.change(asking(visit), own.id, wished, wishedEnd));
        }),
    ),
    act(
      '/app-passwords/:id/rename',
      'full',
      {
        summary: 'Gives it another name.',
        body: { label: wish.label },
        result: appPasswordShape,
        problems: ['revoked', 'unchangeable'],
      },
      async (visit) =>
        withOwn(visit, async ({ id }) => changed(await actions.rename(asking(visit), id, visit.body.label))),
    ),
    act(
      '/app-passwords/:id/pause',
      'full',
      {
        summary: 'Ends its connections and lets nobody in with it until it is resumed.',
        body: {},
        result: appPasswordShape,
        problems: ['revoked', 'unchangeable'],
      },
      async (visit) => withOwn(visit, async ({ id }) => changed(await actions.pause(asking(visit), id))),
    ),
    act(
      '/app-passwords/:id/resume',
      'stepped-up',
      {
        summary: 'Lets it in again.',
        body: {},
        result: appPasswordShape,
        problems: ['revoked', 'unchangeable'],
      },
      async (visit) => withOwn(visit, async ({ id }) => changed(await actions.resume(asking(visit), id))),
    ),
    act(
      '/app-passwords/:id/revoke',
      'full',
      { summary: 'Revokes it, for good.', body: {}, result: appPasswordShape },
      async (visit) =>
        withOwn(visit, async ({ id }) => {
          await actions.revoke(asking(visit), id);
          return await withOwn(visit, async (own) => result(appPasswordOf(own)));
        }),
    ),
    act(
      '/app-passwords/:id/end-sessions',
      'full',
      {
        summary: 'Ends its open connections. It stays valid, and mail programs come back.',
        body: {},
        result: z.object({ ended: z.int() }),
      },
      async (visit) =>
        withOwn(visit, async ({ id }) =>
          result({ ended: await mailSessions.endCredential(visit.session.account, id.toString('hex')) }),
        ),
    ),
  ];
}

function asking({ session, peer }: ApiVisit<'full' | 'stepped-up', unknown>): Asking {
  const { account, idHash } = session;
  return { account, idHash, actor: { kind: 'person', address: peer.address } };
}

function wishOf({ label, scopes, networks = [], fence: limits }: Wished): AppPasswordWish {
  return { label, scopes, networks, fence: { ...noFence, ...said(limits) } };
}

/** What a partial object says, without what it leaves out. */
function said(limits: Wished['fence']): Partial<AppPasswordWish['fence']> {
  return Object.fromEntries(Object.entries(limits ?? {}).filter(([, value]) => value !== undefined));
}

function endOf({ end = { kind: 'usual' } }: Pick<Wished, 'end'>): WishedEnd {
  switch (end.kind) {
    case 'never':
    case 'usual':
      return end;
    case 'after':
    case 'unused-for':
      return { kind: end.kind, ms: end.seconds * 1_000 };
    default:
      return end satisfies never;
  }
}

const inFence: ReadonlySet<WishProblem['field']> = new Set([
  'from',
  'recipientDomains',
  'messagesPerHour',
  'messagesPerDay',
  'recipientsPerHour',
  'recipientsPerDay',
  'maxBytes',
]);

function errorOf(found: WishProblem): FieldError {
  const pointer = inFence.has(found.field) ? `#/fence/${found.field}` : `#/${found.field}`;
  const { kind: code } = found;
  return 'most' in found ? { pointer, code, most: found.most } : { pointer, code };
}
