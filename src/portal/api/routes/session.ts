import { z } from 'zod';
import { isoOf } from '../../../credentials/app-password-json.ts';
import type { PortalSessions } from '../../../identity/portal-session.ts';
import type { SignInActions } from '../../actions/sign-in.ts';
import { problem } from '../problem.ts';
import { type ApiRoute, act, read, result } from '../route.ts';
import { type SessionStates, sessionSchema } from '../session-state.ts';
import { done, doneShape, hexId, time } from '../shapes.ts';

const portalSession = z.object({
  id: hexId,
  level: z.enum(['first-factor', 'full']),
  since: time,
  seenAt: time,
  isThisOne: z.boolean(),
});

/** Signing in and out, and the sessions of browsers. */
export function sessionRoutes(parts: {
  readonly states: SessionStates;
  readonly signIn: SignInActions;
  readonly sessions: PortalSessions;
}): readonly ApiRoute[] {
  const { states, signIn, sessions } = parts;
  return [
    read(
      '/session',
      'anyone',
      { summary: 'Who is signed in, how far, and what comes next.', result: sessionSchema },
      async ({ session }) => result(await states.of(session)),
    ),
    act(
      '/session',
      'anyone',
      {
        summary: 'Signs in with the main password, which is tried once on the mail server.',
        body: { address: z.string().max(1_000), password: z.string().max(1_000) },
        result: sessionSchema,
        problems: ['wrong-password', 'identity-provider'],
      },
      async ({ body, session, peer }) => {
        const outcome = await signIn.signIn(body, session, peer);
        switch (outcome.kind) {
          case 'signed-in':
            return await states.change(outcome.started);
          case 'provider':
            return problem('identity-provider', { start: `/oidc/${outcome.provider.name}/start` });
          case 'missing':
            return problem('invalid', {
              errors: outcome.fields.map((field) => ({ pointer: `#/${field}`, code: 'missing' })),
            });
          case 'wrong':
            return problem('wrong-password');
          case 'throttled':
            return problem('throttled', { until: outcome.until });
          case 'unavailable':
            return problem('unavailable');
          default:
            return outcome satisfies never;
        }
      },
    ),
    act(
      '/session/end',
      'signed-in',
      { summary: 'Signs out.', body: {}, result: sessionSchema },
      async ({ session }) => {
        await sessions.end(session);
        return await states.change('ended');
      },
    ),
    act(
      '/session/end-all',
      'full',
      { summary: 'Signs every browser of the account out, this one too.', body: {}, result: sessionSchema },
      async ({ session }) => {
        await sessions.endAll(session);
        return await states.change('ended');
      },
    ),
    read(
      '/portal-sessions',
      'full',
      {
        summary: 'Browsers in which the account is signed in.',
        result: z.object({ sessions: z.array(portalSession) }),
      },
      async ({ session }) =>
        result({
          sessions: (await sessions.list(session)).map(({ id, level, since, seenAt, isThisOne }) => ({
            ...{ id, level, isThisOne },
            since: isoOf(since),
            seenAt: isoOf(seenAt),
          })),
        }),
    ),
    act(
      '/portal-sessions/:id/end',
      'full',
      { summary: 'Signs one browser out.', body: {}, result: doneShape },
      async ({ session, id }) =>
        id !== null && (await sessions.endOne(session, id.toString('hex')))
          ? result(done)
          : problem('not-found'),
    ),
  ];
}
