import { z } from 'zod';
import {
  type Act,
  type ActOutcome,
  type AdministrationActions,
  administratorOf,
  fates,
  maxReason,
  policies,
  reasonOf,
} from '../../actions/administration.ts';
import { problem } from '../problem.ts';
import { type ApiRoute, act, result } from '../route.ts';
import { doneShape, hexId, time } from '../shapes.ts';

type Shape = Readonly<Record<string, z.ZodType>>;
type Fields<S extends Shape> = { readonly [Name in keyof S]: z.output<S[Name]> };

const actShape = doneShape.extend({
  /** Of an enrollment code: in this answer and nowhere else. */
  code: z.string().optional(),
  until: time.optional(),
});

/** One route for each thing that can be done to an account, each with a reason (S-94). */
export function administrationActRoutes(parts: {
  readonly administration: AdministrationActions;
  /** What is shown of a fresh code; wipes it. */
  readonly show: (made: ActOutcome & { readonly kind: 'code' }) => {
    readonly code: string;
    readonly until: string;
  };
}): readonly ApiRoute[] {
  const { administration, show } = parts;

  const actRoute = <S extends Shape>(
    name: Act['name'],
    summary: string,
    body: S,
    actOf: (body: Fields<S>) => Act,
  ): ApiRoute =>
    act(
      `/administration/accounts/:id/${name}`,
      'stepped-up',
      {
        role: 'administrator',
        summary: `${summary} Not to the own account.`,
        body: { ...body, reason: z.string().max(1_000) },
        result: actShape,
        problems: ['refused', 'enrolled'],
      },
      async ({ session, peer, id, body: given }) => {
        const subject = await administration.findOther(session.account, id);
        if (subject === null) return problem('not-found');
        const said = reasonOf(given.reason as string);
        if (typeof said === 'string') {
          const error = said === 'missing' ? { code: said } : { code: said, most: maxReason };
          return problem('invalid', { errors: [{ pointer: '#/reason', ...error }] });
        }
        const actor = administratorOf(session, peer);
        const wanted = actOf(given as unknown as Fields<S>);
        const outcome = await administration.perform(wanted, { ...subject, actor, ...said });
        switch (outcome.kind) {
          case 'done':
            return result({ done: true });
          case 'code':
            return result({ done: true, ...show(outcome) });
          case 'enrolled':
          case 'refused':
          case 'not-found':
            return problem(outcome.kind);
          default:
            return outcome satisfies never;
        }
      },
    );

  const plain = (
    name: (Act & {
      readonly name: 'disable' | 'enable' | 'revoke-all' | 'end-sessions' | 'enrollment-code';
    })['name'],
    summary: string,
  ) => actRoute(name, summary, {}, () => ({ name }));
  const withFate = (name: 'reset-factors' | 'password-changed', summary: string) =>
    actRoute(name, summary, { appPasswords: z.enum(fates) }, ({ appPasswords }) => ({ name, appPasswords }));
  const toOne = (name: 'pause' | 'resume' | 'revoke', summary: string) =>
    actRoute(name, summary, { credential: hexId }, ({ credential }) => ({
      name,
      credential: Buffer.from(credential, 'hex'),
    }));

  return [
    plain('disable', 'Refuses every login and ends every session.'),
    plain('enable', 'Lets it in again.'),
    plain('revoke-all', 'Revokes every app password.'),
    plain('end-sessions', 'Ends its connections and browser sessions.'),
    plain('enrollment-code', 'Makes a code that opens the first enrollment.'),
    actRoute('mfa', 'Sets its policy.', { policy: z.enum(policies) }, ({ policy }) => ({
      name: 'mfa',
      policy,
    })),
    withFate('reset-factors', 'Removes every method and recovery code.'),
    withFate('password-changed', 'Ends the browser sessions, because the main password was changed.'),
    toOne('pause', 'Pauses an app password.'),
    toOne('resume', 'Resumes an app password.'),
    toOne('revoke', 'Revokes an app password.'),
  ];
}
