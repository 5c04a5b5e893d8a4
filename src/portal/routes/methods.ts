import { z } from 'zod';
import type { FullSession, SteppedUpSession } from '../../identity/portal-session.ts';
import type { Factors, FactorView } from '../../identity/second-factor/factors.ts';
import type { Logger } from '../../observability/logger.ts';
import type { MethodActions } from '../actions/methods.ts';
import type { Language } from '../language.ts';
import { MethodSetUp, nameProblem } from '../method-set-up.ts';
import type { Notices } from '../notices.ts';
import { type Answer, get, getSteppedUp, page, post, postSteppedUp, type Route, redirect } from '../route.ts';
import type { Problem } from '../views.ts';

const done = ['added', 'replaced', 'removed', 'changed'] as const;

/** The list of methods, one of them, and one more. Every factor is looked up by its id and the session's account (S-67). */
export function methodRoutes(parts: {
  readonly factors: Factors;
  readonly actions: MethodActions;
  readonly notices: Notices;
  readonly logger: Logger;
  readonly now: () => number;
}): readonly Route[] {
  const { factors, actions, notices, logger, now } = parts;
  const setUp = new MethodSetUp({ factors, actions, base: '/methods/add' });

  const factsOf = (view: FactorView, { texts: { methods: t }, formats }: Language): readonly string[] => [
    ...(view.masked === null ? [] : [view.masked]),
    t.added(formats.date(view.createdAt)),
    view.usedAt === null ? t.neverUsed : t.used(formats.ago(now() - view.usedAt)),
    ...(view.isDisabled ? [t.offHint] : []),
  ];
  const nameOf = (view: FactorView, { texts }: Language): string =>
    view.name === '' ? texts.methods.kinds[view.kind] : view.name;
  const findOwn = async (session: FullSession | SteppedUpSession, id: Buffer | null) => {
    const all = await factors.list(session.account);
    return all.find((view) => id !== null && view.id.equals(id)) ?? null;
  };

  const listPage = async (
    session: FullSession | SteppedUpSession,
    language: Language,
    what: string | undefined,
  ) => {
    const { texts, formats } = language;
    const { methods: t } = texts;
    const views = await factors.list(session.account);
    const recovery = await factors.recoveryOf(session.account);
    const said = {
      added: t.doneAdded,
      replaced: t.doneReplaced,
      removed: t.doneRemoved,
      changed: t.doneChanged,
    };
    const known = done.find((each) => each === what);
    const data = {
      done: known === undefined ? null : said[known],
      methods: views.map((view) => ({
        id: view.id.toString('hex'),
        name: nameOf(view, language),
        kind: t.kinds[view.kind],
        facts: factsOf(view, language),
        isPrimary: view.isPrimary,
        isOff: view.isDisabled,
      })),
      canAdd: true,
      recovery: recovery === null ? texts.recovery.none : texts.recovery.left(formats.number(recovery.left)),
    };
    return page({ view: 'methods', data });
  };

  const methodPage = (
    view: FactorView,
    language: Language,
    problems: readonly Problem[] = [],
    status = 200,
  ) => {
    const data = {
      id: view.id.toString('hex'),
      heading: nameOf(view, language),
      kind: language.texts.methods.kinds[view.kind],
      name: view.name,
      facts: factsOf(view, language),
      canBePrimary: !view.isPrimary && !view.isDisabled,
      isOff: view.isDisabled,
      problems,
    };
    return page({ view: 'method', data }, status);
  };

  const emailPage = async (
    session: SteppedUpSession,
    language: Language,
    address: string,
    problems: readonly Problem[] = [],
    status = 200,
  ): Promise<Answer> => {
    if (!factors.emailCodes.isOffered) return { kind: 'not-found' };
    const sent = await factors.emailCodes.pending(session);
    const { texts, formats } = language;
    const data = {
      action: '/methods/add/email',
      address,
      sent: sent === null ? null : texts.emailCode.sent(sent.masked, formats.time(sent.until)),
      other: '/methods/add',
      problems,
    };
    return page({ view: 'set-up-email', data }, status);
  };

  const sendCode = async (
    session: SteppedUpSession,
    language: Language,
    address: string,
  ): Promise<Answer> => {
    const { emailCode: t, choose } = language.texts;
    const outcome = await factors.emailCodes.begin(session, address, language.tag);
    const refuse = async (text: string, status = 422) =>
      emailPage(session, language, address.slice(0, 254), [{ field: 'address', text }], status);
    switch (outcome.kind) {
      case 'sent':
        return redirect('/methods/add/email');
      case 'throttled':
        return notices.throttled(language, outcome.until);
      case 'invalid':
        return await refuse(t.invalid);
      case 'same':
        return await refuse(t.same(session.account.address));
      case 'served':
        return await refuse(t.served);
      case 'unavailable':
        return await refuse(t.unavailable, 503);
      case 'disabled':
        return await setUp.choosePage(
          { session, language, peer: { address: '', network: null }, userAgent: '' },
          [{ field: 'method-totp', text: choose.none }],
          422,
        );
      default:
        return outcome satisfies never;
    }
  };

  const method = z.enum(['totp', 'passkey', 'email']).optional();
  const code = z.string().max(64);
  const name = z.string().max(1_000);
  return [
    get('/methods', 'full', async ({ session, language, query }) => listPage(session, language, query.done)),
    getSteppedUp('/methods/add', 'add-method', async (visit) => await setUp.choosePage(visit)),
    postSteppedUp('/methods/add', 'add-method', { method }, async (visit) =>
      setUp.choose(visit, visit.body.method),
    ),
    getSteppedUp('/methods/add/app', 'add-method', async (visit) => await setUp.appPage(visit)),
    postSteppedUp('/methods/add/app', 'add-method', { code, name: name.optional() }, async (visit) =>
      setUp.confirmApp(visit, visit.body.code, visit.body.name ?? ''),
    ),
    getSteppedUp('/methods/add/passkey', 'add-method', async (visit) => await setUp.passkeyPage(visit)),
    postSteppedUp('/methods/add/passkey/begin', 'add-method', {}, async (visit) => setUp.beginPasskey(visit)),
    postSteppedUp(
      '/methods/add/passkey',
      'add-method',
      { answer: z.string().max(16_000), name },
      async (visit) => setUp.confirmPasskey(visit, visit.body.answer, visit.body.name),
    ),
    getSteppedUp('/methods/add/email', 'add-method', async ({ session, language }) =>
      emailPage(session, language, ''),
    ),
    postSteppedUp(
      '/methods/add/email/send',
      'add-method',
      { address: z.string().max(1_000) },
      async ({ session, language, body }) => sendCode(session, language, body.address),
    ),
    postSteppedUp('/methods/add/email', 'add-method', { code }, async (visit) => {
      const { session, language, peer, body } = visit;
      const { emailCode: t } = language.texts;
      if (!factors.emailCodes.isOffered) return { kind: 'not-found' };
      const added = await actions.addAddress(session, peer, body.code);
      const refuse = async (text: string, status: number) =>
        emailPage(session, language, '', [{ field: 'code', text }], status);
      switch (added.kind) {
        case 'wrong':
          return await refuse(t.wrong, 401);
        case 'malformed':
          return await refuse(t.length, 422);
        case 'expired':
          return await refuse(t.expired, 401);
        default:
          return setUp.finish(visit, added);
      }
    }),
    get('/methods/:id', 'full', async ({ session, language, id }) => {
      const own = await findOwn(session, id);
      return own === null ? { kind: 'not-found' } : methodPage(own, language);
    }),
    post('/methods/:id', 'full', { name }, async ({ session, language, peer, id, body }) => {
      const own = await findOwn(session, id);
      if (own === null) return { kind: 'not-found' };
      const problem = nameProblem(body.name, language);
      if (problem !== null) return methodPage(own, language, [problem], 422);
      await factors.arrange(session, peer, own.id, { name: body.name.trim() });
      return redirect('/methods?done=changed');
    }),
    post('/methods/:id/primary', 'full', {}, async ({ session, peer, id }) => {
      const own = await findOwn(session, id);
      if (own === null) return { kind: 'not-found' };
      await factors.arrange(session, peer, own.id, { isPrimary: true });
      return redirect('/methods?done=changed');
    }),
    postSteppedUp('/methods/:id/enable', 'method', {}, async ({ session, peer, id }) => {
      if (id === null || (await factors.enable(session, peer, id)) === 'not-found')
        return { kind: 'not-found' };
      return redirect('/methods?done=changed');
    }),
    getSteppedUp('/methods/:id/remove', 'remove-method', async ({ session, language, id }) => {
      const own = await findOwn(session, id);
      if (own === null) return { kind: 'not-found' };
      const { methods: t } = language.texts;
      const data = {
        action: `/methods/${own.id.toString('hex')}/remove`,
        heading: t.removeTitle(nameOf(own, language)),
        body: t.removeBody,
        inUse: null,
        submit: t.remove,
        isDangerous: true,
        keep: { href: '/methods', label: t.keep },
        instead: null,
      };
      return page({ view: 'ask', data });
    }),
    postSteppedUp('/methods/:id/remove', 'remove-method', {}, async ({ session, language, peer, id }) => {
      const outcome = id === null ? 'not-found' : await factors.remove(session, peer, id);
      const { methods: t } = language.texts;
      switch (outcome) {
        case 'removed':
          logger.info({ event: 'factor-removed', account: session.account.address }, 'factor removed');
          return redirect('/methods?done=removed');
        case 'last':
          return notices.notice(409, t.title, [t.last], { href: '/methods', label: t.back });
        case 'not-found':
          return { kind: 'not-found' };
        case 'gone':
          return redirect('/sign-in', 'ended');
        default:
          return outcome satisfies never;
      }
    }),
  ];
}
