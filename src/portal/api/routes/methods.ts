import { z } from 'zod';
import type { Factors } from '../../../identity/second-factor/factors.ts';
import { formatRecoveryCode } from '../../../identity/second-factor/recovery-code.ts';
import type { Logger } from '../../../observability/logger.ts';
import { isMethodName, type MethodActions, nameCharacters } from '../../actions/methods.ts';
import { problem } from '../problem.ts';
import { type ApiRoute, act, read, result } from '../route.ts';
import { type SessionStates, sessionEnded, sessionSchema } from '../session-state.ts';
import { describeMethod, done, doneShape, method, methodShape } from '../shapes.ts';
import { added, type MethodSetUpRoutes } from './method-set-up.ts';
import { code, letter, sentTo } from './second-factor.ts';

const recoveryShape = z.object({ left: z.int(), isSaved: z.boolean() });

/** Methods and recovery codes. Every method is found by its id and the session's account (S-67). */
export function methodRoutes(parts: {
  readonly states: SessionStates;
  readonly actions: MethodActions;
  readonly factors: Factors;
  readonly setUp: MethodSetUpRoutes;
  readonly logger: Logger;
}): readonly ApiRoute[] {
  const { states, actions, factors, setUp, logger } = parts;

  return [
    read(
      '/methods',
      'full',
      {
        summary: 'Methods and recovery codes of the account.',
        result: z.object({ methods: z.array(methodShape), recoveryCodes: recoveryShape.nullable() }),
      },
      async ({ session }) =>
        result({
          methods: (await factors.list(session.account)).map(describeMethod),
          recoveryCodes: await factors.recoveryOf(session.account),
        }),
    ),
    read(
      '/methods/offered',
      'stepped-up',
      {
        summary: 'What may be set up beside them.',
        result: z.object({ methods: z.array(method) }),
      },
      async ({ session }) => result({ methods: [...(await factors.methodsToAdd(session))] }),
    ),
    ...setUp('/methods', 'stepped-up', (handle) => handle, []),
    act(
      '/methods/email/send',
      'stepped-up',
      {
        summary: 'Sends a code to an address that is to become the alternate one.',
        body: { address: z.string().max(1_000) },
        result: letter,
        problems: ['method-not-offered'],
      },
      async ({ session, body, language }) => {
        const outcome = await factors.emailCodes.begin(session, body.address, language.tag);
        switch (outcome.kind) {
          case 'sent':
            return await sentTo(factors, session);
          case 'throttled':
            return problem('throttled', { until: outcome.until });
          case 'unavailable':
            return problem('unavailable');
          case 'disabled':
            return problem('method-not-offered');
          case 'invalid':
          case 'same':
          case 'served':
            return problem('invalid', { errors: [{ pointer: '#/address', code: 'bad-value' }] });
          default:
            return outcome satisfies never;
        }
      },
    ),
    act(
      '/methods/email',
      'stepped-up',
      {
        summary: 'Confirms the alternate address by the code that was sent to it.',
        body: { code },
        result: sessionSchema,
        problems: ['wrong-code', 'code-expired', 'question-gone', 'limit-reached', 'method-not-offered'],
      },
      async ({ session, peer, body }) =>
        factors.emailCodes.isOffered
          ? await added(states, await actions.addAddress(session, peer, body.code))
          : problem('method-not-offered'),
    ),
    act(
      '/methods/:id/rename',
      'full',
      { summary: 'Gives a method another name.', body: { name: z.string().max(1_000) }, result: doneShape },
      async ({ session, peer, id, body }) => {
        if (!isMethodName(body.name)) {
          return problem('invalid', {
            errors: [{ pointer: '#/name', code: 'bad-characters', most: nameCharacters }],
          });
        }
        const change = { name: body.name.trim() };
        const outcome = id === null ? 'not-found' : await factors.arrange(session, peer, id, change);
        if (outcome === 'gone') return sessionEnded;
        return outcome === 'changed' ? result(done) : problem('not-found');
      },
    ),
    act(
      '/methods/:id/primary',
      'full',
      { summary: 'Offers a method first from now on.', body: {}, result: doneShape },
      async ({ session, peer, id }) => {
        const change = { isPrimary: true } as const;
        const outcome = id === null ? 'not-found' : await factors.arrange(session, peer, id, change);
        if (outcome === 'gone') return sessionEnded;
        return outcome === 'changed' ? result(done) : problem('not-found');
      },
    ),
    act(
      '/methods/:id/enable',
      'stepped-up',
      {
        summary: 'Turns a method on again that too many wrong codes have turned off.',
        body: {},
        result: doneShape,
      },
      async ({ session, peer, id }) => {
        const outcome = id === null ? 'not-found' : await factors.enable(session, peer, id);
        if (outcome === 'gone') return sessionEnded;
        return outcome === 'enabled' ? result(done) : problem('not-found');
      },
    ),
    act(
      '/methods/:id/remove',
      'stepped-up',
      {
        summary: 'Removes a method and ends the other sessions.',
        body: {},
        result: doneShape,
        problems: ['last-method'],
      },
      async ({ session, peer, id }) => {
        const outcome = id === null ? 'not-found' : await factors.remove(session, peer, id);
        switch (outcome) {
          case 'removed':
            logger.info({ event: 'factor-removed', account: session.account.address }, 'factor removed');
            return result(done);
          case 'last':
            return problem('last-method');
          case 'not-found':
            return problem('not-found');
          case 'gone':
            return sessionEnded;
          default:
            return outcome satisfies never;
        }
      },
    ),
    act(
      '/recovery-codes',
      'stepped-up',
      {
        summary:
          'Makes new recovery codes in place of the old ones. They are in this answer and nowhere else.',
        body: {},
        status: 201,
        result: z.object({ codes: z.array(z.string()) }),
      },
      async ({ session, peer }) => {
        const secrets = await factors.recoveryCodes.renew(session, peer);
        if (secrets === null) return sessionEnded;
        logger.info(
          { event: 'recovery-codes-created', account: session.account.address },
          'recovery codes created',
        );
        const codes = secrets.map(formatRecoveryCode);
        for (const secret of secrets) secret.wipe();
        return result({ codes });
      },
    ),
    act(
      '/recovery-codes/saved',
      'full',
      { summary: 'Says that they are kept somewhere.', body: {}, result: doneShape },
      async ({ session }) => {
        await factors.recoveryCodes.markSaved(session.account);
        return result(done);
      },
    ),
  ];
}
