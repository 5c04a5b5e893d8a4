import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { startUpstreamLogin, stepUpstreamLogin } from '../../../src/protocol/imap/upstream-login.ts';
import { Secret } from '../../../src/secret.ts';
import { replayAll } from '../replay-all.ts';
import { loadTranscripts } from '../transcript.ts';
import { masterOrder, UpstreamSubject, upstreamDialect } from './upstream-subject.ts';

replayAll(
  'IMAP login at a backend',
  loadTranscripts(join(import.meta.dirname, 'upstream-transcripts'), upstreamDialect),
  () => new UpstreamSubject(),
);

describe('STARTTLS at a backend, wire 70', () => {
  const answered = () => {
    const greeted = stepUpstreamLogin(
      startUpstreamLogin({ ...masterOrder, startTls: true }),
      received('* OK ready\r\n'),
    );
    return greeted.state;
  };

  it('fails where bytes came in the segment of the reply', () => {
    const { effects } = stepUpstreamLogin(answered(), received('S OK go\r\n* CAPABILITY EVIL\r\n'));
    expect(effects).toMatchObject([{ type: 'failed', kind: 'protocol' }]);
  });

  it('fails where bytes came before the handshake', () => {
    const agreed = stepUpstreamLogin(answered(), received('S OK go\r\n'));
    expect(agreed.effects).toEqual([{ type: 'start-tls' }]);
    const { effects } = stepUpstreamLogin(agreed.state, received('* CAPABILITY EVIL\r\n'));
    expect(effects).toMatchObject([{ type: 'failed', kind: 'protocol' }]);
  });
});

describe('bounds at a backend, S-52', () => {
  it('ends a backend that talks without end', () => {
    const subject = new UpstreamSubject();
    subject.receive(Buffer.from('* OK [CAPABILITY IMAP4rev1] ready\r\n'));
    subject.observed();
    let sent = 0;
    while (subject.state.name !== 'ended' && sent < 1_000_000) {
      subject.receive(Buffer.from('* 1 EXISTS\r\n'.repeat(100)));
      sent += 1_200;
    }
    expect(subject.observed()).toEqual(['failed: protocol, too much data during login']);
    expect(sent).toBeLessThan(70_000);
  });

  it('takes a read of 64 KB behind the tagged OK', () => {
    const subject = new UpstreamSubject();
    subject.receive(Buffer.from('* OK [CAPABILITY IMAP4rev1 SASL-IR] ready\r\n'));
    subject.observed();
    subject.receive(Buffer.from(`L OK [CAPABILITY IMAP4rev1] in\r\n${'x'.repeat(65_000)}`));
    expect(subject.observed()).toHaveLength(1);
    expect(subject.state.name).toBe('ended');
  });
});

describe('an order that cannot be said safely', () => {
  for (const [what, order] of Object.entries({
    'an empty authzid: the master would open its own mailbox': { authzid: '' },
    'a NUL in the authzid': { authzid: 'joe\0boss' },
    'a line end in the authzid': { authzid: 'joe\r\nL LOGOUT' },
    'a C1 control in the authzid': { authzid: 'joe\u0085' },
    'half a surrogate pair, which would be sent as another name': { authzid: 'joe\ud800' },
    'an empty authcid': { authcid: '' },
    'a NUL in the password': { password: Secret.fromText('a\0b') },
    'an empty password': { password: Secret.fromText('') },
    'an ID with a line end': { id: new Map([['x-session-id', 'a\r\nb']]) },
    'an ID with a value too long': { id: new Map([['x-session-id', 'a'.repeat(1_025)]]) },
    'an ID with a key too long': { id: new Map([['k'.repeat(31), 'a']]) },
    'an ID with too many pairs': {
      id: new Map(Array.from({ length: 31 }, (_, index) => [`k${index}`, 'v'])),
    },
  })) {
    it(`is a fault before anything is sent: ${what}`, () => {
      expect(() => startUpstreamLogin({ ...masterOrder, ...order })).toThrow(
        /TypeError|RangeError|may hold|control|limits/,
      );
    });
  }

  it('quotes what an ID has to have quoted', () => {
    const order = { ...masterOrder, id: new Map([['name', 'a"b\\c']]) };
    const { effects } = stepUpstreamLogin(startUpstreamLogin(order), received('* OK [CAPABILITY ID] x\r\n'));
    expect(effects).toEqual([{ type: 'send', bytes: Buffer.from('I ID ("name" "a\\"b\\\\c")\r\n') }]);
  });
});

function received(text: string) {
  return { type: 'received' as const, bytes: Buffer.from(text, 'latin1') };
}
