import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { decodeBase64 } from '../../../src/protocol/base64.ts';
import { pop3Limits } from '../../../src/protocol/pop3/limits.ts';
import { type PreauthState, start, step } from '../../../src/protocol/pop3/preauth.ts';
import {
  startUpstreamLogin,
  stepUpstreamLogin,
  type UpstreamLoginEffect,
} from '../../../src/protocol/pop3/upstream-login.ts';
import type { PreauthEffect } from '../../../src/protocol/preauth.ts';
import { Secret } from '../../../src/secret.ts';

/** What a client or backend may say, whole, broken and mixed with noise. */
function speech(words: readonly string[]): fc.Arbitrary<Buffer> {
  const word = fc.constantFrom(...words).map((text) => Buffer.from(text, 'latin1'));
  const noise = fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes));
  const run = fc
    .tuple(fc.constantFrom('A', '\0', '\n', '\r', ' '), fc.nat(9_000))
    .map(([character, length]) => Buffer.alloc(length, character));
  const part = fc.oneof(
    { weight: 12, arbitrary: word },
    { weight: 3, arbitrary: noise },
    { weight: 1, arbitrary: run },
  );
  return fc.array(part, { maxLength: 12 }).map((parts) => Buffer.concat(parts));
}

const clientWords = (
  '\r\n·\n·\r· ·*·=·+·.·\xff·\0·USER ·USER joe\r\n·PASS ·PASS abcd efgh ijkl mnoq\r\n·joe·' +
  'AUTH·AUTH \r\n·AUTH PLAIN·AUTH LOGIN ·AUTH PLAIN\r\n·AUTH LOGIN am9l\r\n·AGpvZQBwdw==·AHgAeQ==\r\n·am9l\r\n·' +
  'AUTH PLAIN AGpvZQBwdw==\r\n·CAPA\r\n·STLS\r\n·stls \r\n·QUIT\r\n·STAT\r\n·UTF8\r\n·APOP joe 00\r\n·' +
  'XCLIENT ADDR=::1\r\n·GET / HTTP/1.1'
).split('·');

const otherEvents = fc.constantFrom('accepted', 'refused', 'excused', 'secured', 'expired', 'draining');

describe('anything at all, before login', () => {
  it('never throws, holds no more than it may, answers in lines of ours, splices only what was accepted', () => {
    const event = fc.oneof(
      { weight: 6, arbitrary: speech(clientWords) },
      { weight: 3, arbitrary: otherEvents },
    );
    fc.assert(
      fc.property(fc.boolean(), fc.array(event, { maxLength: 12 }), (isClear, events) => {
        let state: PreauthState = step(start('gw', isClear ? 'available' : 'established'), {
          type: 'connected',
        }).state;
        let isSecured = !isClear;
        for (const event of events) {
          const before = state;
          if (before.name === 'spliced') break;
          const next = happen(before, event);
          if (next === null) continue;
          state = next.state;
          isSecured ||= before.name === 'handshake' && event === 'secured';
          for (const effect of next.effects) check(effect, before, event, isSecured);
          const pausedAt = next.effects.findIndex(({ type }) =>
            /^(?:log-in|malformed-login|start-tls)$/.test(type),
          );
          expect(pausedAt === -1 || pausedAt === next.effects.length - 1 || state.name === 'closed').toBe(
            true,
          );
        }
        if ('connection' in state && 'reader' in state.connection)
          expect(state.connection.reader.takeAll().length).toBeLessThanOrEqual(pop3Limits.heldBytes);
      }),
      { numRuns: 3_000 },
    );
  });

  function happen(state: PreauthState, event: Buffer | string) {
    if (Buffer.isBuffer(event)) return step(state, { type: 'received', bytes: event });
    if (event === 'expired' || event === 'draining') return step(state, { type: event });
    if (event === 'secured')
      return state.name === 'handshake' ? step(state, { type: 'tls-established' }) : null;
    if (state.name !== 'verifying') return null;
    if (event === 'accepted') return step(state, { type: 'accepted', accepted: { text: 'in' } });
    return step(state, {
      type: 'refused',
      refusal: { code: 'SYS/TEMP', text: 'Later.' },
      countsAsFailure: event === 'refused',
    });
  }

  function check(
    effect: PreauthEffect,
    before: PreauthState,
    event: Buffer | string,
    isSecured: boolean,
  ): void {
    switch (effect.type) {
      case 'send':
        expect(before.name).not.toBe('handshake');
        expect(effect.bytes.toString('latin1')).toMatch(
          /^(?:(?:\+OK|-ERR|\+ |[A-Z])[\x20-\x7e]{0,300}\r\n|\.\r\n)+$/,
        );
        return;
      case 'splice':
        expect([before.name, event]).toEqual(['verifying', 'accepted']);
        return;
      case 'log-in': {
        expect(isSecured).toBe(true);
        const { authzid, authcid, password } = effect.credentials;
        expect(Buffer.concat([authzid, authcid, password.bytes()]).toString('latin1')).not.toMatch(
          /[\r\n\0]/,
        );
        return;
      }
      case 'malformed-login':
        expect(isSecured).toBe(true);
        return;
      case 'start-tls':
        expect(isSecured).toBe(false);
        return;
      case 'identify':
        throw new Error('a POP3 client has no way to say who it is');
      case 'close':
        return;
      default:
        effect satisfies never;
    }
  }
});

const backendWords = (
  '+OK ·-ERR ·+ ·+·[·]·[XCLIENT] ·[IN-USE]·[AUTH]·[SYS/TEMP] x·\r\n·\n·\r·\0·\xff· ·' +
  '+OK ready\r\n·+OK [XCLIENT] ready\r\n·+OK go\r\n·+OK Logged in.\r\n·-ERR [IN-USE] x\r\n·-ERR [AUTH] x\r\n·-ERR\r\n'
).split('·');

describe('anything at all, from a backend', () => {
  const order = fc.record({
    authzid: fc.string({ minLength: 1 }).filter((name) => !/[\u0000-\u001f\u007f-\u009f]/.test(name)),
    startTls: fc.boolean(),
    hasXclient: fc.boolean(),
    isLong: fc.boolean(),
  });
  const greeting = fc.constantFrom('', '+OK ready\r\n', '+OK [XCLIENT] ready\r\n');

  it('never throws, ends once, never says QUIT, and the authzid is always the one ordered', () => {
    fc.assert(
      fc.property(
        order,
        greeting,
        fc.array(speech(backendWords), { maxLength: 12 }),
        ({ authzid, startTls, hasXclient, isLong }, first, pieces) => {
          const password = Secret.fromText(isLong ? 's'.repeat(300) : 's3cret');
          const xclient = hasXclient ? new Map([['SESSION', 'k3']]) : null;
          let state = startUpstreamLogin({ authzid, startTls, authcid: 'gateway', password, xclient });
          const effects: UpstreamLoginEffect[] = [];
          for (const bytes of [Buffer.from(first), ...pieces]) {
            const next = stepUpstreamLogin(state, { type: 'received', bytes });
            state = next.state;
            effects.push(...next.effects);
            if (state.name !== 'handshake') continue;
            const secured = stepUpstreamLogin(state, { type: 'tls-established' });
            state = secured.state;
            effects.push(...secured.effects);
          }
          const ends = effects.filter(({ type }) => type === 'logged-in' || type === 'failed');
          expect(ends.length).toBe(state.name === 'ended' ? 1 : 0);
          if ('reader' in state)
            expect(state.reader.takeAll().length).toBeLessThanOrEqual(pop3Limits.upstreamLineBytes + 1);
          const message = Buffer.from(`${authzid}\0gateway\0${password.text()}`);
          for (const effect of effects) check(effect, message);
        },
      ),
      { numRuns: 3_000 },
    );
  });

  function check(effect: UpstreamLoginEffect, message: Buffer): void {
    switch (effect.type) {
      case 'send': {
        const line = effect.bytes.toString('latin1');
        const [, known, base64] =
          /^(?:(STLS|XCLIENT SESSION=k3|AUTH PLAIN)|(?:AUTH PLAIN )?([\w+/=]+))\r\n$/.exec(line) ?? [];
        expect(known ?? base64).toBeDefined();
        if (base64 !== undefined) expect(decodeBase64(Buffer.from(base64))).toEqual(message);
        if (line.startsWith('AUTH')) expect(line.length).toBeLessThanOrEqual(255);
        return;
      }
      case 'logged-in':
        expect(effect.text).toMatch(/^(?!\[)[\x20-\x7e]{0,300}$/);
        return;
      case 'failed':
        expect(effect.forward?.code).not.toBe('AUTH');
        expect(`${effect.detail}${effect.forward?.text ?? ''}`).toMatch(/^[\x20-\x7e]{1,1000}$/);
        return;
      case 'start-tls':
        return;
      default:
        effect satisfies never;
    }
  }
});
