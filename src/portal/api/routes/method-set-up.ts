import { z } from 'zod';
import type { EnrollingSession } from '../../../identity/second-factor/changes.ts';
import type { Factors } from '../../../identity/second-factor/factors.ts';
import {
  type AddressAdded,
  type AppAdded,
  type MethodActions,
  nameCharacters,
  type PasskeyAdded,
} from '../../actions/methods.ts';
import { type ApiProblem, type ProblemCode, problem } from '../problem.ts';
import { type ApiAnswer, type ApiResult, type ApiRoute, type ApiVisit, act, result } from '../route.ts';
import { type SessionStates, sessionEnded, sessionSchema } from '../session-state.ts';
import { answer, code, question } from './second-factor.ts';

/** What an authenticator app is to be told: shown by this answer alone, and dead after ten minutes (S-77). */
const seedShape = z.object({ key: z.string(), uri: z.string() });

const name = z.string().max(1_000);
const addProblems: readonly ProblemCode[] = ['question-gone', 'limit-reached', 'enrollment-closed'];

type EnrollingLevel = 'first-factor' | 'stepped-up';
type Handler<L extends EnrollingLevel, B, R> = (visit: ApiVisit<L, B>) => Promise<ApiAnswer<R>>;

/** The same four routes under /enrollment and under /methods. `entering`: what stands before each of them. */
export type MethodSetUpRoutes = <L extends EnrollingLevel>(
  base: '/enrollment' | '/methods',
  level: L,
  entering: <B, R>(handle: Handler<L, B, R>) => Handler<L, B, R>,
  problems: readonly ProblemCode[],
) => readonly ApiRoute[];

export function methodSetUpRoutes(parts: {
  readonly states: SessionStates;
  readonly actions: MethodActions;
  readonly factors: Factors;
}): MethodSetUpRoutes {
  const { states, actions, factors } = parts;
  return (base, level, entering, problems) => [
    act(
      `${base}/totp/begin`,
      level,
      {
        summary:
          'Draws the key for a new authenticator app. It replaces one that was drawn before and is not confirmed.',
        body: {},
        result: seedShape,
        problems: [...problems, 'method-not-offered', 'question-gone'],
      },
      entering(async ({ session }) => {
        const own: EnrollingSession = session;
        if (!(await actions.begin(own, 'totp'))) return problem('method-not-offered');
        const pending = await factors.apps.pending(own);
        return pending === null ? problem('question-gone') : result({ ...pending });
      }),
    ),
    act(
      `${base}/totp`,
      level,
      {
        summary: 'Confirms a new authenticator app by its first code.',
        body: { code, name: name.optional() },
        result: sessionSchema,
        problems: [...problems, ...addProblems, 'wrong-code'],
      },
      entering(async ({ session, peer, body }) =>
        added(states, await actions.addApp(session, peer, body.code, body.name ?? '')),
      ),
    ),
    act(
      `${base}/passkey/begin`,
      level,
      {
        summary: 'Asks for a new passkey.',
        body: {},
        result: question,
        problems: [...problems, 'method-not-offered', 'question-gone'],
      },
      entering(async ({ session }) => {
        const own: EnrollingSession = session;
        if (!(await actions.begin(own, 'passkey'))) return problem('method-not-offered');
        const options = await factors.passkeys.creationOptions(own);
        return options === null ? problem('question-gone') : result({ options: { ...options } });
      }),
    ),
    act(
      `${base}/passkey`,
      level,
      {
        summary: "Takes the authenticator's answer.",
        body: { answer, name },
        result: sessionSchema,
        problems: [...problems, ...addProblems, 'passkey-refused', 'key-exists'],
      },
      entering(async ({ session, peer, body }) =>
        added(states, await actions.addPasskey(session, peer, body.answer, body.name)),
      ),
    ),
  ];
}

/** After a method was added, or could not be. */
export async function added(
  states: SessionStates,
  outcome: AppAdded | PasskeyAdded | AddressAdded,
): Promise<ApiResult<z.input<typeof sessionSchema>> | ApiProblem> {
  switch (outcome.kind) {
    case 'added':
      return await states.change(outcome.started);
    case 'session-gone':
      return sessionEnded;
    case 'gone':
      return problem('question-gone');
    case 'full':
      return problem('limit-reached');
    case 'closed':
      return problem('enrollment-closed');
    case 'wrong':
      return problem('wrong-code');
    case 'expired':
      return problem('code-expired');
    case 'malformed':
      return problem('invalid', { errors: [{ pointer: '#/code', code: 'bad-value' }] });
    case 'bad-name':
      return problem('invalid', {
        errors: [{ pointer: '#/name', code: 'bad-characters', most: nameCharacters }],
      });
    case 'refused':
      return problem('passkey-refused');
    case 'exists':
      return problem('key-exists');
    default:
      return outcome satisfies never;
  }
}
