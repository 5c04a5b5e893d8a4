import { z } from 'zod';
import type { Config } from '../../config/schema.ts';
import { mfaPolicyOf } from '../../identity/mfa-policy.ts';
import type { FirstFactorSession } from '../../identity/portal-session.ts';
import { type Factors, holdOf } from '../../identity/second-factor/factors.ts';
import type { EnrollmentActions } from '../actions/enrollment.ts';
import type { MethodActions } from '../actions/methods.ts';
import type { Language } from '../language.ts';
import { MethodSetUp } from '../method-set-up.ts';
import type { Notices } from '../notices.ts';
import { type Answer, get, page, post, type Route, redirect, type Visit } from '../route.ts';
import type { Problem } from '../views.ts';

type EnrollmentVisit<B> = Visit<'first-factor', B>;

/** A first factor, or a new one after a recovery code: set it up now, choose a method, follow the prompts, verified. */
export function enrollmentRoutes(parts: {
  readonly config: Config;
  readonly factors: Factors;
  readonly actions: EnrollmentActions;
  readonly methods: MethodActions;
  readonly notices: Notices;
  readonly now: () => number;
}): readonly Route[] {
  const { config, factors, actions, methods, notices, now } = parts;
  const setUp = new MethodSetUp({ factors, actions: methods, base: '/set-up' });

  const startPage = (
    session: FirstFactorSession,
    { texts: t, formats }: Language,
    asksCode: boolean,
    problems: readonly Problem[] = [],
    status = 200,
  ): Answer => {
    const isRequired = mfaPolicyOf(session.account, config) === 'required';
    const hold = holdOf(session.account, now());
    const data = {
      ...(asksCode
        ? { heading: t.gate.codeTitle, paragraphs: [t.gate.codeBody] }
        : session.opened === 'recovery'
          ? {
              heading: t.replace.title,
              paragraphs: [
                t.replace.body,
                ...(hold === null ? [] : [t.replace.hold(formats.dateTime(hold))]),
              ],
            }
          : {
              heading: isRequired ? t.setUp.title : t.setUp.optionalTitle,
              paragraphs: [isRequired ? t.setUp.body : t.setUp.optionalBody, t.setUp.duration],
            }),
      action: asksCode ? '/set-up/code' : '/set-up',
      asksCode,
      problems,
    };
    return page({ view: 'set-up', data }, status);
  };

  /** What stands before every page here: where the session belongs, and the gate of the first enrollment (S-74). */
  const entering =
    <B>(handle: (visit: EnrollmentVisit<B>) => Promise<Answer>) =>
    async (visit: EnrollmentVisit<B>): Promise<Answer> => {
      const { session, peer, language } = visit;
      const gate = await actions.entrance(session, peer);
      switch (gate.kind) {
        case 'elsewhere':
          return redirect(gate.home);
        case 'open':
          return await handle(visit);
        case 'code':
          return startPage(session, language, true);
        case 'closed': {
          const { gate: t } = language.texts;
          return gate.because === 'network'
            ? notices.notice(403, t.networkTitle, [t.network], null)
            : notices.notice(403, t.idpTitle, [t.idp], null);
        }
        default:
          return gate satisfies never;
      }
    };

  const checkCode = async (visit: EnrollmentVisit<{ readonly code: string }>): Promise<Answer> => {
    const { session, peer, language, body } = visit;
    const t = language.texts.gate;
    const refuse = (text: string, status: number) =>
      startPage(session, language, true, [{ field: 'code', text }], status);
    const result = await actions.open(session, peer, body.code);
    switch (result.kind) {
      case 'opened':
        return redirect('/set-up', result.started);
      case 'session-gone':
        return redirect('/sign-in', 'ended');
      case 'not-asked':
        return redirect('/set-up');
      case 'wrong':
        return refuse(t.wrong, 401);
      case 'malformed':
        return refuse(t.length, 422);
      case 'used':
      case 'disabled':
      case 'expired':
        return refuse(t.gone, 403);
      case 'unavailable':
        return notices.unavailable(language);
      case 'throttled':
        return notices.throttled(language, result.until);
      default:
        return result satisfies never;
    }
  };

  return [
    get(
      '/set-up',
      'first-factor',
      entering(async ({ session, language }) => startPage(session, language, false)),
    ),
    post(
      '/set-up',
      'first-factor',
      {},
      entering(async (visit) => {
        const offered = await factors.methodsToAdd(visit.session);
        // With one method to choose from, the choice is made.
        return offered.length === 1 ? await setUp.choose(visit, offered[0]) : redirect('/set-up/method');
      }),
    ),
    post('/set-up/code', 'first-factor', { code: z.string().max(200) }, checkCode),
    get(
      '/set-up/method',
      'first-factor',
      entering(async (visit) => await setUp.choosePage(visit)),
    ),
    post(
      '/set-up/method',
      'first-factor',
      { method: z.enum(['totp', 'passkey', 'email']).optional() },
      entering(async (visit) => await setUp.choose(visit, visit.body.method)),
    ),
    get(
      '/set-up/app',
      'first-factor',
      entering(async (visit) => await setUp.appPage(visit)),
    ),
    post(
      '/set-up/app',
      'first-factor',
      { code: z.string().max(64) },
      entering(async (visit) => await setUp.confirmApp(visit, visit.body.code)),
    ),
    get(
      '/set-up/passkey',
      'first-factor',
      entering(async (visit) => await setUp.passkeyPage(visit)),
    ),
    post(
      '/set-up/passkey/begin',
      'first-factor',
      {},
      entering(async (visit) => await setUp.beginPasskey(visit)),
    ),
    post(
      '/set-up/passkey',
      'first-factor',
      { answer: z.string().max(16_000), name: z.string().max(1_000) },
      entering(async (visit) => await setUp.confirmPasskey(visit, visit.body.answer, visit.body.name)),
    ),
    get('/set-up/verified', 'full', async () => page({ view: 'verified', data: {} })),
  ];
}
