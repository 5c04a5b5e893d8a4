import { z } from 'zod';
import type {
  FirstFactorSession,
  FullSession,
  PortalSessions,
  SteppedUpSession,
} from '../../identity/portal-session.ts';
import type { TotpFactors } from '../../identity/second-factor/totp.ts';
import type { Logger } from '../../observability/logger.ts';
import type { Texts } from '../locales/en.ts';
import type { Notices } from '../notices.ts';
import { type Answer, get, page, post, type Route, redirect, type StepUpPurpose } from '../route.ts';
import type { Problem } from '../views.ts';
import type { Signposts } from './home.ts';

const destinations: Readonly<Record<StepUpPurpose, string>> = {
  create: '/app-passwords/new',
  'revoke-all': '/app-passwords/revoke-all',
};

/** Showing the second factor: to come in, and again for what needs a fresh one. */
export function confirmRoutes(parts: {
  readonly factors: TotpFactors;
  readonly sessions: PortalSessions;
  readonly signposts: Signposts;
  readonly notices: Notices;
  readonly logger: Logger;
  readonly texts: Texts;
}): readonly Route[] {
  const { factors, sessions, signposts, notices, logger, texts: t } = parts;

  const form = async (
    session: FirstFactorSession | FullSession | SteppedUpSession,
    purpose: StepUpPurpose | null,
    problems: readonly Problem[],
    status = 200,
  ): Promise<Answer> => {
    if ((await factors.stateOf(session.account)) !== 'active') return notices.factorDisabled();
    const data = {
      action: purpose === null ? '/verify' : `/confirm/${purpose}`,
      body: purpose === null ? t.confirm.signIn : t.confirm.body,
      cancel: purpose === null ? null : '/app-passwords',
      problems,
    };
    return page({ view: 'confirm', data }, status);
  };

  const check = async (
    session: FirstFactorSession | FullSession | SteppedUpSession,
    purpose: StepUpPurpose | null,
    code: string,
  ): Promise<Answer> => {
    const result = await factors.check(session.account, code);
    logger.info(
      { event: 'factor-check', outcome: result.kind, account: session.account.address },
      'factor check',
    );
    switch (result.kind) {
      case 'right': {
        const started = await sessions.stepUp(session);
        if (started === null) return redirect('/sign-in', 'ended');
        return redirect(purpose === null ? '/app-passwords' : destinations[purpose], started);
      }
      case 'wrong':
        return await form(session, purpose, [{ field: 'code', text: t.codeWrong }], 401);
      case 'used':
        return await form(session, purpose, [{ field: 'code', text: t.codeUsed }], 401);
      case 'malformed':
        return await form(session, purpose, [{ field: 'code', text: t.codeLength }], 422);
      case 'disabled':
        return notices.factorDisabled();
      case 'throttled':
        return notices.throttled(result.until);
      default:
        return result satisfies never;
    }
  };

  const fields = { code: z.string().max(64) };
  return [
    get('/verify', 'first-factor', async ({ session }) => {
      const home = await signposts.homeOf(session);
      return home === '/verify' ? await form(session, null, []) : redirect(home);
    }),
    post('/verify', 'first-factor', fields, async ({ session, body }) => {
      const home = await signposts.homeOf(session);
      return home === '/verify' ? await check(session, null, body.code) : redirect(home);
    }),
    get('/confirm/:purpose', 'full', async ({ session, purpose }) =>
      isPurpose(purpose) ? await form(session, purpose, []) : { kind: 'not-found' },
    ),
    post('/confirm/:purpose', 'full', fields, async ({ session, purpose, body }) =>
      isPurpose(purpose) ? await check(session, purpose, body.code) : { kind: 'not-found' },
    ),
  ];
}

function isPurpose(text: string): text is StepUpPurpose {
  return Object.hasOwn(destinations, text);
}
