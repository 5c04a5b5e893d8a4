import QRCode from 'qrcode';
import { z } from 'zod';
import type { Config } from '../../config/schema.ts';
import { mfaPolicyOf } from '../../identity/mfa-policy.ts';
import type { FirstFactorSession, PortalSessions } from '../../identity/portal-session.ts';
import type { TotpFactors } from '../../identity/second-factor/totp.ts';
import type { Logger } from '../../observability/logger.ts';
import type { Texts } from '../locales/en.ts';
import { type Answer, get, page, post, type Route, redirect } from '../route.ts';
import type { Problem } from '../views.ts';
import type { Signposts } from './home.ts';

/** The first enrollment: set it up now, scan and verify, verified. */
export function enrollmentRoutes(parts: {
  readonly config: Config;
  readonly factors: TotpFactors;
  readonly sessions: PortalSessions;
  readonly signposts: Signposts;
  readonly logger: Logger;
  readonly texts: Texts;
}): readonly Route[] {
  const { config, factors, sessions, signposts, logger, texts } = parts;

  const scanPage = async (
    session: FirstFactorSession,
    problems: readonly Problem[],
    status = 200,
  ): Promise<Answer> => {
    const pending = await factors.pending(session);
    if (pending === null) return redirect('/set-up');
    const svg = await QRCode.toString(pending.uri, { type: 'svg', errorCorrectionLevel: 'M', margin: 3 });
    const data = {
      qr: `data:image/svg+xml;base64,${Buffer.from(svg).toString('base64')}`,
      uri: pending.uri,
      keyGroups: pending.key.match(/.{1,4}/g) ?? [],
      problems,
    };
    return page({ view: 'set-up-app', data }, status);
  };

  return [
    get('/set-up', 'first-factor', async ({ session }) => {
      const home = await signposts.homeOf(session);
      if (home !== '/set-up') return redirect(home);
      const isRequired = mfaPolicyOf(session.account, config) === 'required';
      return page({ view: 'set-up', data: { isRequired } });
    }),
    post('/set-up', 'first-factor', {}, async ({ session }) => {
      const home = await signposts.homeOf(session);
      if (home !== '/set-up') return redirect(home);
      // With one method to choose from, the choice is made.
      await factors.begin(session);
      return redirect('/set-up/app');
    }),
    get('/set-up/app', 'first-factor', async ({ session }) => {
      const home = await signposts.homeOf(session);
      return home === '/set-up' ? await scanPage(session, []) : redirect(home);
    }),
    post('/set-up/app', 'first-factor', { code: z.string().max(64) }, async ({ session, body }) => {
      const home = await signposts.homeOf(session);
      if (home !== '/set-up') return redirect(home);
      const outcome = await factors.confirm(session, body.code);
      switch (outcome) {
        case 'confirmed': {
          logger.info(
            { event: 'factor-added', account: session.account.address, method: 'totp' },
            'factor added',
          );
          const started = await sessions.stepUp(session);
          if (started === null) return redirect('/sign-in', 'ended');
          await sessions.endOthers(started.session);
          return redirect('/set-up/verified', started);
        }
        case 'gone':
          return redirect('/set-up');
        case 'wrong':
          return await scanPage(session, [{ field: 'code', text: texts.codeWrong }], 401);
        case 'malformed':
          return await scanPage(session, [{ field: 'code', text: texts.codeLength }], 422);
        default:
          return outcome satisfies never;
      }
    }),
    get('/set-up/verified', 'full', async () => page({ view: 'verified', data: {} })),
  ];
}
