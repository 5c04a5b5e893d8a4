import { z } from 'zod';
import type { Config } from '../../config/schema.ts';
import type { AppPasswordView } from '../../credentials/app-passwords.ts';
import type { Notices } from '../../credentials/notices.ts';
import type { Factors } from '../../identity/second-factor/factors.ts';
import type { Database } from '../../store/database.ts';
import { listStaleClients } from '../../store/stale-clients.ts';
import type { AppPasswordActions, Asking } from '../actions/app-passwords.ts';
import type { MailSessionActions } from '../actions/sessions.ts';
import { problemTexts } from '../app-password-form.ts';
import { entryOf, factsOf, staleText, workingOf } from '../app-password-texts.ts';
import { bannerLine } from '../banner-texts.ts';
import { deviceIconOf } from '../device-icon.ts';
import type { Language } from '../language.ts';
import { recoveryNag } from '../recovery-nag.ts';
import {
  type Answer,
  get,
  getSteppedUp,
  page,
  post,
  postSteppedUp,
  type Route,
  redirect,
  type SessionAt,
  type Visit,
} from '../route.ts';
import type { Problem } from '../views.ts';

/** A device that was silent for so long has been seen to. */
const staleMs = 7 * 86_400_000;
/** The others come up when these were dismissed. */
const bannersShown = 10;
/** The limit is told before it hurts: from 35 of 40 on. */
const nearShare = 0.875;

/** List, one app password, rename, pause, resume, revoke. Every one is found by its id and the session's account (S-67). */
export function appPasswordRoutes(parts: {
  readonly config: Config;
  readonly database: Database;
  readonly actions: AppPasswordActions;
  readonly mailSessions: MailSessionActions;
  readonly factors: Factors;
  /** null: nobody is told of anything. */
  readonly notifications: Pick<Notices, 'listBanners' | 'dismiss'> | null;
  readonly now: () => number;
}): readonly Route[] {
  const { config, database, actions, mailSessions, factors, notifications, now } = parts;

  const listPage = async (
    session: SessionAt['full'],
    language: Language,
    revoked: string | undefined,
  ): Promise<Answer> => {
    const { create: c, list: t } = language.texts;
    const all = await actions.list(session.account);
    const entries = all.map((each) => entryOf(each, language, now()));
    const banners = (await notifications?.listBanners(session.account.id)) ?? [];
    const stale = await listStaleClients(database, session.account.id, now() - staleMs);
    const justRevoked = entries.find((each) => each.id === revoked && each.state === 'revoked');
    const live = entries.filter((each) => each.state !== 'revoked');
    const most = config.appPasswords.maxPerAccount;
    const count = live.filter((each) => each.state !== 'expired').length;
    const near =
      count >= most ? c.limit(most) : count >= Math.ceil(most * nearShare) ? t.near(count, most) : null;
    const data = {
      live,
      ended: entries.filter((each) => each.state === 'revoked'),
      done:
        revoked === 'all' && live.length === 0 && entries.length > 0
          ? t.revokedAll
          : justRevoked === undefined
            ? null
            : t.revoked(justRevoked.label),
      banners: banners.slice(0, bannersShown).map((each) => bannerLine(each, language, now())),
      stale: stale.map((each) => staleText(each, language, now())),
      near,
      nag: await recoveryNag(factors, session.account, language),
      canCreate: count < most,
      canRevokeAll: live.length > 1,
    };
    return page({ view: 'list', data });
  };

  const detailsPage = async (
    view: AppPasswordView,
    session: SessionAt['full'],
    language: Language,
    shown: { readonly done: string | null; readonly name?: string; readonly problems?: readonly Problem[] },
  ): Promise<Answer> => {
    const t = language.texts.details;
    const open = view.state === 'revoked' ? 0 : await mailSessions.countOf(session.account, view.id);
    const connections = open === null ? t.unknownSessions : open === 0 ? t.noSessions : t.sessions(open);
    const { done, name = view.label, problems = [] } = shown;
    const data = {
      id: view.id.toString('hex'),
      label: view.label,
      icon: deviceIconOf(view.label, view.lastUsedClient),
      state: view.state,
      done,
      working: workingOf(view, language, now()),
      note: view.state === 'revoked' ? t.ended : view.state === 'expired' ? t.expired : null,
      facts: [...factsOf(view, language, now()), { name: t.openSessions, values: [connections] }],
      name,
      isAlterable: view.state !== 'revoked',
      problems,
    };
    return page({ view: 'app-password', data }, problems.length === 0 ? 200 : 422);
  };

  /** Says only what is so: the address of a page can be made by anybody. */
  const doneText = (done: string | undefined, view: AppPasswordView, { texts }: Language): string | null => {
    const { list: t, details } = texts;
    if (done === 'paused' && view.state === 'paused') return t.paused(view.label);
    if (done === 'resumed' && view.state === 'active') return t.resumed(view.label);
    if (done === 'changed') return t.changed(view.label);
    return done === 'renamed' ? details.renamed : null;
  };

  const withOwn = async (
    { session, id }: Here,
    then: (own: AppPasswordView) => Promise<Answer>,
  ): Promise<Answer> => {
    const own = await actions.find(session.account, id);
    return own === null ? { kind: 'not-found' } : await then(own);
  };

  const unchangeable = async (own: AppPasswordView, { session, language }: Here) =>
    await detailsPage(own, session, language, {
      done: null,
      problems: [{ field: 'label', text: language.texts.details.unchangeable }],
    });

  const rename = (visit: Here<{ readonly label: string }>): Promise<Answer> =>
    withOwn(visit, async (own) => {
      const { session, language, body } = visit;
      const outcome = await actions.rename(asking(visit), own.id, body.label);
      switch (outcome.kind) {
        case 'changed':
          return redirect(`${pathOf(own)}?done=renamed`);
        case 'invalid': {
          const { noName } = language.texts.details;
          const label = { field: 'label', most: maxNameCharacters, missing: noName };
          const problems = problemTexts(outcome.problems, language.texts, label);
          return await detailsPage(own, session, language, { done: null, name: body.label, problems });
        }
        case 'not-found':
          return outcome;
        case 'revoked':
          return redirect(pathOf(own));
        case 'unchangeable':
          return await unchangeable(own, visit);
        default:
          return outcome satisfies never;
      }
    });

  const setState = (visit: Here, to: 'paused' | 'resumed'): Promise<Answer> =>
    withOwn(visit, async (own) => {
      const outcome =
        to === 'paused'
          ? await actions.pause(asking(visit), own.id)
          : await actions.resume(asking(visit), own.id);
      switch (outcome.kind) {
        case 'changed':
          return redirect(`${pathOf(own)}?done=${to}`);
        case 'not-found':
          return outcome;
        case 'revoked':
          return redirect(pathOf(own));
        case 'invalid':
        case 'unchangeable':
          return await unchangeable(own, visit);
        default:
          return outcome satisfies never;
      }
    });

  return [
    get('/app-passwords', 'full', async ({ session, language, query }) =>
      listPage(session, language, query.revoked),
    ),
    get('/app-passwords/:id', 'full', async (visit) =>
      withOwn(visit, async (own) =>
        detailsPage(own, visit.session, visit.language, {
          done: doneText(visit.query.done, own, visit.language),
        }),
      ),
    ),
    post('/banners/:id/dismiss', 'full', {}, async ({ session, id }) => {
      const isDone = id !== null && (await notifications?.dismiss(session.account.id, id)) === true;
      return isDone ? redirect('/app-passwords') : { kind: 'not-found' };
    }),
    post('/banners/dismiss-all', 'full', {}, async ({ session }) => {
      for (const { id } of (await notifications?.listBanners(session.account.id)) ?? []) {
        await notifications?.dismiss(session.account.id, id);
      }
      return redirect('/app-passwords');
    }),
    post('/app-passwords/:id/rename', 'full', { label: z.string().max(1_000) }, rename),
    post('/app-passwords/:id/pause', 'full', {}, async (visit) => setState(visit, 'paused')),
    getSteppedUp('/app-passwords/:id/resume', 'resume', async (visit) =>
      withOwn(visit, async (own) => {
        if (own.state !== 'paused') return redirect(pathOf(own));
        const t = visit.language.texts.details;
        const data = {
          action: `${pathOf(own)}/resume`,
          heading: t.resumeTitle(own.label),
          body: t.resumeBody,
          inUse: null,
          submit: t.resume,
          isDangerous: false,
          keep: { href: pathOf(own), label: t.keepPaused },
          instead: null,
        };
        return page({ view: 'ask', data });
      }),
    ),
    postSteppedUp('/app-passwords/:id/resume', 'resume', {}, async (visit) => setState(visit, 'resumed')),
    get('/app-passwords/:id/revoke', 'full', async (visit) =>
      withOwn(visit, async (own) => {
        if (own.state === 'revoked') return redirect('/app-passwords');
        const t = visit.language.texts.revoke;
        const open = await mailSessions.countOf(visit.session.account, own.id);
        const data = {
          action: `${pathOf(own)}/revoke`,
          heading: t.title(own.label),
          body: t.body,
          inUse: open === null || open === 0 ? null : t.openNow(open),
          submit: t.button,
          isDangerous: true,
          keep: { href: '/app-passwords', label: t.keep },
          instead: own.state === 'active' ? `${pathOf(own)}/pause` : null,
        };
        return page({ view: 'ask', data });
      }),
    ),
    post('/app-passwords/:id/revoke', 'full', {}, async (visit) => {
      if (visit.id === null) return { kind: 'not-found' };
      const outcome = await actions.revoke(asking(visit), visit.id);
      if (outcome === 'not-found') return { kind: 'not-found' };
      return redirect(`/app-passwords?revoked=${visit.id.toString('hex')}`);
    }),
    getSteppedUp('/app-passwords/revoke-all', 'revoke-all', async ({ language: { texts: t } }) => {
      const data = {
        action: '/app-passwords/revoke-all',
        heading: t.revoke.titleAll,
        body: t.revoke.bodyAll,
        inUse: null,
        submit: t.revoke.all,
        isDangerous: true,
        keep: { href: '/app-passwords', label: t.revoke.keepAll },
        instead: null,
      };
      return page({ view: 'ask', data });
    }),
    postSteppedUp('/app-passwords/revoke-all', 'revoke-all', {}, async (visit) => {
      await actions.revokeAll(asking(visit));
      return redirect('/app-passwords?revoked=all');
    }),
  ];
}

const maxNameCharacters = 64;

/** What these handlers look at of a visit, with a fresh factor or without. */
export type Here<Body = object> = Pick<Visit<'full', Body>, 'session' | 'body' | 'language' | 'id' | 'peer'>;

/** The account's own person, from where she is. */
export function asking({ session, peer }: Here): Asking {
  const { account, idHash } = session;
  return { account, idHash, actor: { kind: 'person', address: peer.address } };
}

function pathOf({ id }: AppPasswordView): string {
  return `/app-passwords/${id.toString('hex')}`;
}
