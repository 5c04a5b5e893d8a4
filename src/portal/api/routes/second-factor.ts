import { z } from 'zod';
import { isoOf } from '../../../credentials/app-password-json.ts';
import type { Factors } from '../../../identity/second-factor/factors.ts';
import type { OidcSignIn } from '../../../identity/sign-in/oidc.ts';
import type {
  AnySession,
  CodeShown,
  PasskeyShown,
  SecondFactorActions,
} from '../../actions/second-factor.ts';
import { type ApiProblem, type ProblemCode, problem } from '../problem.ts';
import { type ApiAnswer, type ApiResult, type ApiRoute, type ApiVisit, act, read, result } from '../route.ts';
import { type SessionStates, sessionEnded, sessionSchema } from '../session-state.ts';
import { method, time } from '../shapes.ts';

export const code = z.string().max(200);
export const answer = z
  .string()
  .max(14_000)
  .meta({ description: 'JSON of the PublicKeyCredential, as its toJSON() has it' });
/** A question to an authenticator, for parseCreationOptionsFromJSON or parseRequestOptionsFromJSON of a browser. */
export const question = z.object({ options: z.looseObject({ challenge: z.string() }) });
export const letter = z.object({ to: z.string(), until: time });

const waysShape = z.object({
  /** The primary one first. */
  methods: z.array(method),
  hasRecovery: z.boolean(),
  /** A security key that verifies nobody does only after a main password: sign in again. */
  hasTouchOnlyKey: z.boolean(),
  /** An identity provider that can ask instead. */
  provider: z.string().nullable(),
});

const codeProblems: readonly ProblemCode[] = ['wrong-code', 'code-used', 'method-disabled', 'elsewhere-now'];

/** Showing a second factor, at sign-in and again for what needs a fresh one. */
export function secondFactorRoutes(parts: {
  readonly states: SessionStates;
  readonly actions: SecondFactorActions;
  readonly factors: Factors;
  readonly oidc: OidcSignIn;
}): readonly ApiRoute[] {
  const { states, actions, factors, oidc } = parts;

  /** Before a second factor a session may show one where it has one, and nowhere else. */
  const here =
    <B, R>(handle: (visit: ApiVisit<'signed-in', B>) => Promise<ApiAnswer<R>>) =>
    async (visit: ApiVisit<'signed-in', B>): Promise<ApiAnswer<R>> => {
      const { session } = visit;
      const isElsewhere =
        session.level === 'first-factor' && (await states.nextOf(session)) !== 'second-factor';
      return isElsewhere ? await states.elsewhere(session) : await handle(visit);
    };

  const follow = async (
    shown: CodeShown | PasskeyShown,
  ): Promise<ApiResult<z.input<typeof sessionSchema>> | ApiProblem> => {
    switch (shown.kind) {
      case 'confirmed':
      case 'replacing':
        return await states.change(shown.started);
      case 'session-gone':
        return sessionEnded;
      case 'wrong':
        return problem('wrong-code');
      case 'used':
        return problem('code-used');
      case 'malformed':
        return problem('invalid', { errors: [{ pointer: '#/code', code: 'bad-value' }] });
      case 'expired':
        return problem('code-expired');
      case 'disabled':
        return problem('method-disabled');
      case 'gone':
        return problem('question-gone');
      case 'refused':
        return problem('passkey-refused');
      case 'unavailable':
        return problem('unavailable');
      case 'throttled':
        return problem('throttled', { until: shown.until });
      default:
        return shown satisfies never;
    }
  };

  const codeRoute = (way: 'totp' | 'email' | 'recovery', summary: string) =>
    act(
      `/second-factor/${way}`,
      'signed-in',
      {
        summary,
        body: { code },
        result: sessionSchema,
        problems: way === 'email' ? [...codeProblems, 'code-expired'] : codeProblems,
      },
      here(async ({ session, peer, body }) => follow(await actions.showCode(session, peer, way, body.code))),
    );

  return [
    read(
      '/second-factor',
      'signed-in',
      {
        summary: 'What the session can be confirmed with.',
        result: waysShape,
        problems: ['elsewhere-now'],
      },
      here(async ({ session }) => {
        const { methods, hasRecovery, hasTouchOnlyKey } = await factors.waysOf(session);
        return result({
          methods: [...methods],
          hasRecovery,
          hasTouchOnlyKey,
          provider: providerOf(session),
        });
      }),
    ),
    codeRoute('totp', 'Shows the code of an authenticator app.'),
    codeRoute(
      'recovery',
      'Shows a recovery code, which opens the enrollment of a new method and nothing else.',
    ),
    act(
      '/second-factor/email/send',
      'signed-in',
      {
        summary: 'Sends a code to the alternate address.',
        body: {},
        result: letter,
        problems: ['method-disabled', 'elsewhere-now'],
      },
      here(async ({ session, language }) => {
        const outcome = await factors.emailCodes.beginCheck(session, language.tag);
        switch (outcome.kind) {
          case 'sent':
            return await sentTo(factors, session);
          case 'throttled':
            return problem('throttled', { until: outcome.until });
          case 'unavailable':
            return problem('unavailable');
          case 'disabled':
          case 'invalid':
          case 'same':
          case 'served':
            return problem('method-disabled');
          default:
            return outcome satisfies never;
        }
      }),
    ),
    codeRoute('email', 'Shows a code that was sent to the alternate address.'),
    act(
      '/second-factor/passkey/begin',
      'signed-in',
      {
        summary: 'Asks for a passkey.',
        body: {},
        result: question,
        problems: ['method-disabled', 'elsewhere-now'],
      },
      here(async ({ session }) => {
        await factors.passkeys.beginCheck(session);
        const options = await factors.passkeys.checkOptions(session);
        return options === null ? problem('method-disabled') : result({ options: { ...options } });
      }),
    ),
    act(
      '/second-factor/passkey',
      'signed-in',
      {
        summary: "Takes the authenticator's answer.",
        body: { answer },
        result: sessionSchema,
        problems: ['passkey-refused', 'question-gone', 'method-disabled', 'elsewhere-now'],
      },
      here(async ({ session, peer, body }) => follow(await actions.showPasskey(session, peer, body.answer))),
    ),
  ];

  function providerOf(session: AnySession): string | null {
    return session.level === 'first-factor' ? null : (oidc.confirmerOf(session.account)?.name ?? null);
  }
}

/** Where the session's code went; a problem where it was used or replaced in between. */
export async function sentTo(
  factors: Factors,
  session: AnySession,
): Promise<ApiAnswer<z.input<typeof letter>>> {
  const pending = await factors.emailCodes.pending(session);
  return pending === null
    ? problem('unavailable')
    : result({ to: pending.masked, until: isoOf(pending.until) });
}
