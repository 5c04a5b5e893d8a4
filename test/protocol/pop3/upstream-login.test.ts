import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { startUpstreamLogin, stepUpstreamLogin } from '../../../src/protocol/pop3/upstream-login.ts';
import { Secret } from '../../../src/secret.ts';
import { replayAll } from '../replay-all.ts';
import { loadTranscripts } from '../transcript.ts';
import { masterOrder, UpstreamSubject, upstreamDialect } from './upstream-subject.ts';

replayAll(
  'POP3 login at a backend',
  loadTranscripts(join(import.meta.dirname, 'upstream-transcripts'), upstreamDialect),
  () => new UpstreamSubject(),
);

describe('STLS at a backend, wire 70', () => {
  const asked = () =>
    stepUpstreamLogin(startUpstreamLogin({ ...masterOrder, startTls: true }), received('+OK ready\r\n'))
      .state;

  it('fails where bytes came in the segment of the reply', () => {
    for (const injected of ['+OK in\r\n', '-', '\n']) {
      const { effects } = stepUpstreamLogin(asked(), received(`+OK go\r\n${injected}`));
      expect(effects).toEqual([
        { type: 'failed', kind: 'protocol', detail: 'an answer to nothing we asked', forward: null },
      ]);
    }
  });

  it('fails where bytes came before the handshake', () => {
    const agreed = stepUpstreamLogin(asked(), received('+OK go\r\n'));
    expect(agreed.effects).toEqual([{ type: 'start-tls' }]);
    const { effects } = stepUpstreamLogin(agreed.state, received('+OK in\r\n'));
    expect(effects).toMatchObject([{ type: 'failed', kind: 'protocol' }]);
  });
});

describe('a reply that came before its command', () => {
  it('is not taken for the answer to it', () => {
    for (const first of ['+OK ready\r\n+OK in\r\n', '+OK ready\r\n+']) {
      const { effects } = stepUpstreamLogin(startUpstreamLogin(masterOrder), received(first));
      expect(effects).toMatchObject([{ type: 'failed', detail: 'an answer to nothing we asked' }]);
    }
  });
});

describe('bounds at a backend, S-52', () => {
  it('ends a backend that talks without end, byte by byte too', () => {
    const subject = new UpstreamSubject();
    let sent = 0;
    while (subject.state.name !== 'ended' && sent < 1_000_000) {
      subject.receive(Buffer.from('x'));
      sent += 1;
    }
    expect(subject.observed()).toEqual(['failed: protocol, too much data during login']);
    expect(sent).toBeLessThan(8_200);
  });

  it('ends one that talks without end in one read', () => {
    const subject = new UpstreamSubject();
    subject.receive(Buffer.alloc(1_000_000, '+'));
    expect(subject.observed()).toEqual(['failed: protocol, too much data during login']);
  });

  it('takes a read of 64 KB behind the last +OK', () => {
    const subject = new UpstreamSubject();
    subject.receive(Buffer.from('+OK ready\r\n'));
    subject.observed();
    subject.receive(Buffer.from('+OK in'));
    subject.receive(Buffer.from(`\r\n${'x'.repeat(65_534)}`));
    expect(subject.observed()).toEqual(['logged-in: in', Buffer.alloc(65_534, 'x')]);
  });
});

describe('an order that cannot be said safely', () => {
  for (const [what, order] of Object.entries({
    'an empty authzid: the master would open its own mailbox': { authzid: '' },
    'a NUL in the authzid': { authzid: 'joe\0boss' },
    'a line end in the authzid': { authzid: 'joe\r\nQUIT' },
    'an empty authcid': { authcid: '' },
    'an empty password': { password: Secret.fromText('') },
    'a password that no AUTH can carry': { password: Secret.fromText('x'.repeat(9_300)) },
    'an XCLIENT with a line end': { xclient: new Map([['ADDR', 'a\r\nb']]) },
    'an XCLIENT value with a space, which is another attribute': {
      xclient: new Map([['SESSION', 'a ADDR=127.0.0.1']]),
    },
    'an XCLIENT without a value': { xclient: new Map([['ADDR', '']]) },
    'an XCLIENT with an 8-bit byte': { xclient: new Map([['ADDR', '\xe9']]) },
    'an XCLIENT without attributes': { xclient: new Map() },
    'an XCLIENT over 512 octets': { xclient: new Map([['SESSION', 'x'.repeat(500)]]) },
  })) {
    it(`is a fault before anything is sent: ${what}`, () => {
      expect(() => startUpstreamLogin({ ...masterOrder, ...order })).toThrow(
        /may hold|may not|control characters|beyond/,
      );
    });
  }
});

function received(text: string) {
  return { type: 'received' as const, bytes: Buffer.from(text, 'latin1') };
}
