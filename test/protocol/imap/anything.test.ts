import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { decodeBase64 } from '../../../src/protocol/base64.ts';
import { imapLimits } from '../../../src/protocol/imap/limits.ts';
import { type PreauthState, start, step } from '../../../src/protocol/imap/preauth.ts';
import {
  startUpstreamLogin,
  stepUpstreamLogin,
  type UpstreamLoginEffect,
} from '../../../src/protocol/imap/upstream-login.ts';
import type { PreauthEffect } from '../../../src/protocol/preauth.ts';
import { Secret } from '../../../src/secret.ts';

/** What a client or backend may say, whole, broken and mixed with noise. */
function speech(words: readonly string[]): fc.Arbitrary<Buffer> {
  const word = fc.constantFrom(...words).map((text) => Buffer.from(text, 'latin1'));
  const noise = fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes));
  const run = fc
    .tuple(fc.constantFrom('(', '{', '"', 'A', '\0', '\n', ' '), fc.nat(9_000))
    .map(([character, length]) => Buffer.alloc(length, character));
  const part = fc.oneof(
    { weight: 12, arbitrary: word },
    { weight: 3, arbitrary: noise },
    { weight: 1, arbitrary: run },
  );
  return fc.array(part, { maxLength: 12 }).map((parts) => Buffer.concat(parts));
}

const clientWords = (
  'a ·b ·\r\n·\n·\r· ·*·=·(·)·"·\\·NIL·{0}\r\n·{3+}\r\n·{4+}\r\nx-id·{4096+}\r\n·' +
  '{4097+}\r\n·{99999999999}\r\n·+·\xff·\0·LOGIN ·joe·abcdefghijklmnoq·"p w"·' +
  'AUTHENTICATE PLAIN·AUTHENTICATE LOGIN ·AGpvZQBwdw==·am9l·ID ·NOOP·LOGOUT·ENABLE x·' +
  'CAPABILITY·x STARTTLS\r\n·SELECT INBOX·GET / HTTP/1.1·a NOOP\r\n·a LOGIN joe pw\r\n·' +
  'b AUTHENTICATE PLAIN\r\n·c AUTHENTICATE LOGIN am9l\r\n·AHgAeQ==\r\n·' +
  'd LOGIN {3+}\r\njoe {2}\r\npw\r\n·e ID ("name" {1+}\r\nx)\r\n'
).split('·');

const tlsState = fc.constantFrom('established' as const, 'available' as const);
const otherEvents = fc.constantFrom(
  'tls-established',
  'accepted',
  'refused',
  'excused',
  'expired',
  'draining',
);

describe('anything at all, before login', () => {
  it('never throws, holds no more than it may, answers in lines of ours, splices only what was accepted', () => {
    const event = fc.oneof(
      { weight: 6, arbitrary: speech(clientWords) },
      { weight: 2, arbitrary: otherEvents },
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 10 }), tlsState, (events, tls) => {
        let state: PreauthState = step(start('gw', tls), { type: 'connected' }).state;
        for (const event of events) {
          const before = state;
          if (before.name === 'spliced') break;
          const next = happen(before, event);
          if (next === null) continue;
          state = next.state;
          for (const effect of next.effects) check(effect, before, event);
          const loginAt = next.effects.findIndex(({ type }) => /^(?:log-in|malformed-login)$/.test(type));
          expect(loginAt === -1 || loginAt === next.effects.length - 1 || state.name === 'closed').toBe(true);
        }
        if ('connection' in state && 'reader' in state.connection)
          expect(state.connection.reader.takeAll().length).toBeLessThanOrEqual(imapLimits.heldBytes);
      }),
      { numRuns: 3_000 },
    );
  });

  function happen(state: PreauthState, event: Buffer | string) {
    if (Buffer.isBuffer(event)) return step(state, { type: 'received', bytes: event });
    if (event === 'expired' || event === 'draining') return step(state, { type: event });
    if (event === 'tls-established') return state.name === 'handshake' ? step(state, { type: event }) : null;
    if (state.name !== 'verifying') return null;
    if (event === 'accepted') {
      return step(state, { type: 'accepted', accepted: { capabilities: 'IMAP4rev1', text: 'in' } });
    }
    return step(state, {
      type: 'refused',
      refusal: { alert: 'Read this', code: 'UNAVAILABLE', text: 'Later.' },
      countsAsFailure: event === 'refused',
    });
  }

  /** S-01: where nothing may be taken for a password. */
  function isClear(state: PreauthState): boolean {
    return 'tls' in state
      ? state.tls === 'available'
      : 'connection' in state && 'tls' in state.connection && state.connection.tls === 'available';
  }

  function check(effect: PreauthEffect, before: PreauthState, event: Buffer | string): void {
    switch (effect.type) {
      case 'send':
        expect(effect.bytes.toString('latin1')).toMatch(
          /^(?:(?:\*|\+|[^ (){%*"\\+\x7f-\xff]{1,128}) [\x20-\x7e]{0,300}\r\n)+$/,
        );
        return;
      case 'splice':
        expect([before.name, event]).toEqual(['verifying', 'accepted']);
        return;
      case 'identify':
        expect(effect.name ?? '').toMatch(/^[^\x00-\x1f\x7f-\x9f]*$/);
        return;
      case 'log-in': {
        expect(isClear(before)).toBe(false);
        const { authzid, authcid, password } = effect.credentials;
        expect(Buffer.concat([authzid, authcid, password.bytes()]).toString('latin1')).not.toMatch(
          /[\r\n\0]/,
        );
        return;
      }
      case 'malformed-login':
        expect(isClear(before)).toBe(false);
        return;
      case 'start-tls':
        expect(isClear(before)).toBe(true);
        return;
      case 'close':
        return;
      default:
        effect satisfies never;
    }
  }
});

const backendWords = (
  '* ·OK ·NO ·BAD ·BYE ·PREAUTH ·[·]·CAPABILITY ·IMAP4rev1 SASL-IR ID·UNAUTHENTICATE·S ·C ·' +
  'I ·L ·P ·+ ·+\r\n·\r\n·\n·{3}\r\n·{70000}\r\n·\0·\xff·REFERRAL imap://evil/·' +
  '* OK ready\r\n·* OK [CAPABILITY IMAP4rev1 SASL-IR ID] ready\r\n·' +
  '* CAPABILITY IMAP4rev1\r\n·C OK x\r\n·I OK\r\n·L OK [CAPABILITY IMAP4rev1] in\r\n·' +
  'L OK in\r\n·P OK x\r\n·S OK go\r\n·L NO [LIMIT] x\r\n·L NO [AUTHENTICATIONFAILED] x\r\n'
).split('·');

describe('anything at all, from a backend', () => {
  const order = fc.record({
    authzid: fc.string({ minLength: 1 }).filter((name) => !/[\u0000-\u001f\u007f-\u009f]/.test(name)),
    startTls: fc.boolean(),
    hasId: fc.boolean(),
  });
  const greeting = fc.constantFrom('', '* OK ready\r\n', '* OK [CAPABILITY IMAP4rev1 SASL-IR ID] ready\r\n');

  it('never throws, ends once, and the authzid is always the one ordered', () => {
    fc.assert(
      fc.property(
        order,
        greeting,
        fc.array(speech(backendWords), { maxLength: 12 }),
        (what, first, pieces) => {
          const password = Secret.fromText('s3cret');
          const id = what.hasId ? new Map([['x-session-id', 'k3']]) : null;
          let state = startUpstreamLogin({ ...what, authcid: 'gateway', password, id });
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
            expect(state.reader.takeAll().length).toBeLessThanOrEqual(2 * imapLimits.upstreamLoginBytes);
          for (const effect of effects) check(effect, what.authzid);
        },
      ),
      { numRuns: 3_000 },
    );
  });

  function check(effect: UpstreamLoginEffect, authzid: string): void {
    switch (effect.type) {
      case 'send': {
        const line = effect.bytes.toString('latin1');
        const [, known, base64] =
          /^(?:(S STARTTLS|[CP] CAPABILITY|I ID .*|L AUTHENTICATE PLAIN)|(?:L AUTHENTICATE PLAIN )?([\w+/=]+))\r\n$/.exec(
            line,
          ) ?? [];
        expect(line).toMatch(/^[\x20-\x7e]+\r\n$/);
        expect(known ?? base64).toBeDefined();
        if (base64 !== undefined) {
          expect(decodeBase64(Buffer.from(base64))).toEqual(Buffer.from(`${authzid}\0gateway\0s3cret`));
        }
        return;
      }
      case 'logged-in':
        expect(effect.capabilities ?? '').toMatch(/^[\x21-\x7e]*(?: [\x21-\x7e]+)*$/);
        return;
      case 'failed':
        expect(effect.forward?.code).not.toBe('AUTHENTICATIONFAILED');
        expect(`${effect.detail}${effect.forward?.text ?? ''}`).toMatch(/^[\x20-\x7e]{1,700}$/);
        return;
      case 'start-tls':
        return;
      default:
        effect satisfies never;
    }
  }
});
