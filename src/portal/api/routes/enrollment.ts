import { z } from 'zod';
import type { Config } from '../../../config/schema.ts';
import { isoOf } from '../../../credentials/app-password-json.ts';
import { mfaPolicyOf } from '../../../identity/mfa-policy.ts';
import { type Factors, holdOf } from '../../../identity/second-factor/factors.ts';
import type { EnrollmentActions } from '../../actions/enrollment.ts';
import { problem } from '../problem.ts';
import { type ApiAnswer, type ApiRoute, type ApiVisit, act, read, result } from '../route.ts';
import { type SessionStates, sessionEnded, sessionSchema } from '../session-state.ts';
import { method, time } from '../shapes.ts';
import type { MethodSetUpRoutes } from './method-set-up.ts';
import { code } from './second-factor.ts';

const enrollmentShape = z.object({
  /** `code`: the operator's code is asked first. */
  gate: z.enum(['open', 'code', 'closed']),
  because: z.enum(['network', 'idp']).nullable(),
  /** In the order offered; empty until the gate is open. */
  methods: z.array(method),
  isRequired: z.boolean(),
  /** After a recovery code. */
  isReplacement: z.boolean(),
  /** Until then no app password is made; null for no such time. */
  heldUntil: time.nullable(),
});

/** The first method, or a new one after a recovery code. */
export function enrollmentRoutes(parts: {
  readonly config: Config;
  readonly states: SessionStates;
  readonly actions: EnrollmentActions;
  readonly factors: Factors;
  readonly setUp: MethodSetUpRoutes;
  readonly now: () => number;
}): readonly ApiRoute[] {
  const { config, states, actions, factors, setUp, now } = parts;

  /** What the gate lets in (S-74). */
  const entering =
    <B, R>(handle: (visit: ApiVisit<'first-factor', B>) => Promise<ApiAnswer<R>>) =>
    async (visit: ApiVisit<'first-factor', B>): Promise<ApiAnswer<R>> => {
      const gate = await actions.entrance(visit.session, visit.peer);
      switch (gate.kind) {
        case 'open':
          return await handle(visit);
        case 'elsewhere':
          return await states.elsewhere(visit.session);
        case 'code':
          return problem('enrollment-code-needed');
        case 'closed':
          return problem('enrollment-closed', { because: gate.because });
        default:
          return gate satisfies never;
      }
    };

  return [
    read(
      '/enrollment',
      'first-factor',
      { summary: 'What the session may set up, and what stands before it.', result: enrollmentShape },
      async ({ session, peer }) => {
        const gate = await actions.entrance(session, peer);
        if (gate.kind === 'elsewhere') return await states.elsewhere(session);
        const hold = holdOf(session.account, now());
        return result({
          gate: gate.kind,
          because: gate.kind === 'closed' ? gate.because : null,
          methods: gate.kind === 'open' ? [...(await factors.methodsToAdd(session))] : [],
          isRequired: mfaPolicyOf(session.account, config) === 'required',
          isReplacement: session.opened === 'recovery',
          heldUntil: isoOf(hold),
        });
      },
    ),
    act(
      '/enrollment/code',
      'first-factor',
      {
        summary: "Passes the gate by the operator's code.",
        body: { code },
        result: sessionSchema,
        problems: ['wrong-code', 'method-disabled'],
      },
      async ({ session, peer, body }) => {
        const opened = await actions.open(session, peer, body.code);
        switch (opened.kind) {
          case 'opened':
            return await states.change(opened.started);
          case 'not-asked':
            return await states.elsewhere(session);
          case 'session-gone':
            return sessionEnded;
          case 'wrong':
            return problem('wrong-code');
          case 'malformed':
            return problem('invalid', { errors: [{ pointer: '#/code', code: 'bad-value' }] });
          case 'used':
          case 'disabled':
          case 'expired':
            return problem('method-disabled');
          case 'unavailable':
            return problem('unavailable');
          case 'throttled':
            return problem('throttled', { until: opened.until });
          default:
            return opened satisfies never;
        }
      },
    ),
    ...setUp('/enrollment', 'first-factor', entering, ['enrollment-code-needed', 'enrollment-closed']),
  ];
}
