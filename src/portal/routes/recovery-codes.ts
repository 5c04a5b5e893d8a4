import type { Config } from '../../config/schema.ts';
import type { Factors } from '../../identity/second-factor/factors.ts';
import type { Logger } from '../../observability/logger.ts';
import type { HeldCodes } from '../held-codes.ts';
import { get, page, post, postSteppedUp, type Route, redirect } from '../route.ts';

/** Recovery codes: how many are left, new ones, and the one page that shows them. */
export function recoveryCodeRoutes(parts: {
  readonly config: Pick<Config, 'hostname'>;
  readonly factors: Factors;
  readonly held: HeldCodes;
  readonly logger: Logger;
}): readonly Route[] {
  const { config, factors, held, logger } = parts;
  return [
    get('/recovery-codes', 'full', async ({ session, language: { texts, formats }, query }) => {
      const { recovery: t } = texts;
      const state = await factors.recoveryOf(session.account);
      const data = {
        state: state === null ? t.none : t.left(formats.number(state.left)),
        note: query.shown === undefined ? null : t.shown,
        submit: state === null ? t.create : t.renew,
        isRenewal: state !== null,
      };
      return page({ view: 'recovery-codes', data });
    }),
    postSteppedUp('/recovery-codes', 'recovery-codes', {}, async ({ session, peer }) => {
      const codes = await factors.recoveryCodes.renew(session, peer);
      if (codes === null) return redirect('/sign-in', 'ended');
      logger.info(
        { event: 'recovery-codes-created', account: session.account.address },
        'recovery codes created',
      );
      held.hold(session, codes);
      return redirect('/recovery-codes/new');
    }),
    get('/recovery-codes/new', 'full', async ({ session, language: { texts } }) => {
      const codes = held.take(session);
      if (codes === null) return redirect('/recovery-codes?shown=1');
      const { recovery: t } = texts;
      const { address } = session.account;
      const text = [t.fileHead(address, config.hostname), '', ...codes, '', t.body, ''].join('\r\n');
      const data = {
        codes,
        file: `data:text/plain;charset=utf-8,${encodeURIComponent(text)}`,
        filename: t.filename,
        address,
        host: config.hostname,
      };
      return page({ view: 'new-recovery-codes', data });
    }),
    post('/recovery-codes/saved', 'full', {}, async ({ session }) => {
      await factors.recoveryCodes.markSaved(session.account);
      return redirect('/app-passwords');
    }),
  ];
}
