import { describe, expect, it } from '@jest/globals';
import { startSubmission, stepSubmission } from '../../../src/protocol/smtp/submission-client.ts';
import type { SubmissionLogin, SubmissionOrder } from '../../../src/protocol/smtp/submission-state.ts';
import { Secret } from '../../../src/secret.ts';
import { deliveries, normal, rcptOrder, replay } from './dialogue.ts';

const plain: SubmissionOrder = {
  hostname: 'gw.example',
  startTls: false,
  login: { authzid: 'joe@example.com', authcid: 'gateway', password: Secret.fromText('master-pw') },
  peer: null,
};
function ordering(login: Partial<SubmissionLogin>): SubmissionOrder {
  const known = { authzid: 'joe@example.com', authcid: 'gateway', password: Secret.fromText('master-pw') };
  return { ...plain, login: { ...known, ...login } };
}
const announcing: SubmissionOrder = {
  ...plain,
  peer: {
    address: '203.0.113.7',
    port: 51_234,
    localAddress: '198.51.100.1',
    localPort: 465,
    sessionId: 'k3',
    helo: { name: 'laptop', isExtended: true },
  },
};
const auth = Buffer.from('joe@example.com\0gateway\0master-pw').toString('base64');

const login = `
  S: 220 mx ESMTP
  C: EHLO gw.example
  S: 250-mx
  S: 250-SIZE 1000000
  S: 250-8BITMIME
  S: 250 AUTH PLAIN LOGIN
  C: AUTH PLAIN ${auth}
  S: 235 2.7.0 Authentication successful
  = ready
`;
const pipeliningLogin = `
  S: 220 mx ESMTP
  C: EHLO gw.example
  S: 250-mx
  S: 250-PIPELINING
  S: 250 AUTH PLAIN
  C: AUTH PLAIN ${auth}
  S: 235 2.7.0 ok
  = ready
`;
const uptoBody = `${login}
  > mail a@example.com
  C: MAIL FROM:<a@example.com> BODY=8BITMIME
  S: 250 2.1.0 Ok
  = 250 2.1.0
  > rcpt b@example.com
  C: RCPT TO:<b@example.com>
  S: 250 2.1.5 Ok
  = 250 2.1.5
  > data
  C: DATA
  S: 354 go on
  = 354 -
`;

const cases: readonly (readonly [name: string, order: SubmissionOrder, script: string])[] = [
  [
    'RFC 4954 4, 5321 3.3: log in, two transactions, quit',
    plain,
    `${uptoBody}
    > body "Subject: x\\r\\n\\r\\n..dot\\r\\n"
    C: Subject: x\\r\\n\\r\\n..dot
    > end
    C: .
    S: 250 2.0.0 Ok: queued as 4XyZ
    = 250 2.0.0
    > mail
    C: MAIL FROM:<> BODY=8BITMIME
    S: 250 2.1.0 Ok
    = 250 2.1.0
    > reset
    C: RSET
    S: 250 2.0.0 Ok
    = 250 2.0.0
    > quit
    C: QUIT
    = end`,
  ],
  [
    'wire 96: a refused recipient is not the end',
    plain,
    `${login}
    > mail a@example.com
    C: MAIL FROM:<a@example.com> BODY=8BITMIME
    S: 250 2.1.0 Ok
    = 250 2.1.0
    > rcpt nobody@example.com
    C: RCPT TO:<nobody@example.com>
    S: 550-5.1.1 <nobody@example.com>: Recipient
    S: 550 5.1.1 rejected
    = 550 5.1.1
    > rcpt b@example.com
    C: RCPT TO:<b@example.com>
    S: 250 2.1.5 Ok
    = 250 2.1.5`,
  ],
  [
    'wire 98: DATA refused before the message',
    plain,
    `${login}
    > data
    C: DATA
    S: 452 4.3.1 Insufficient system storage
    = 452 4.3.1
    > reset
    C: RSET
    S: 250 Ok
    = 250 -`,
  ],
  [
    'wire 70: STARTTLS, and everything heard in clear is forgotten',
    { ...plain, startTls: true },
    `
    S: 220 mx
    C: EHLO gw.example
    S: 250-mx
    S: 250-AUTH PLAIN
    S: 250 STARTTLS
    C: STARTTLS
    S: 220 2.0.0 Ready
    = start-tls
    > tls
    C: EHLO gw.example
    S: 250-mx
    S: 250 AUTH PLAIN
    C: AUTH PLAIN ${auth}
    S: 235 2.7.0 ok
    = ready`,
  ],
  [
    'wire 70: no STARTTLS, no login in clear',
    { ...plain, startTls: true },
    `
    S: 220 mx
    C: EHLO gw.example
    S: 250-mx
    S: 250 AUTH PLAIN
    = failed protocol: the backend does not offer STARTTLS`,
  ],
  [
    'wire 70: STARTTLS refused',
    { ...plain, startTls: true },
    `
    S: 220 mx
    C: EHLO gw.example
    S: 250-mx
    S: 250 STARTTLS
    C: STARTTLS
    S: 454 4.7.0 TLS not available
    = failed protocol: STARTTLS was answered 454 4.7.0 TLS not available`,
  ],
  [
    'wire 129: XCLIENT with what is listed, then EHLO again',
    announcing,
    `
    S: 220 mx
    C: EHLO gw.example
    S: 250-mx
    S: 250-AUTH PLAIN
    S: 250 XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT
    C: XCLIENT NAME=[UNAVAILABLE] ADDR=203.0.113.7 PORT=51234 PROTO=ESMTP HELO=laptop DESTADDR=198.51.100.1 DESTPORT=465
    S: 220 mx ESMTP
    C: EHLO gw.example
    S: 250-mx
    S: 250-XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT
    S: 250 AUTH PLAIN
    C: AUTH PLAIN ${auth}
    S: 235 2.7.0 ok
    = ready announced`,
  ],
  [
    'wire 129: XCLIENT listed and refused',
    announcing,
    `
    S: 220 mx
    C: EHLO gw.example
    S: 250-mx
    S: 250 XCLIENT ADDR
    C: XCLIENT ADDR=203.0.113.7
    S: 550 5.7.0 insufficient authorization
    = failed refused-us: XCLIENT was answered 550 5.7.0 insufficient authorization`,
  ],
  ['XCLIENT not listed: the login goes on', announcing, login],
  [
    'wire 106: an AUTH line over 512 octets goes in two',
    ordering({ password: Secret.fromText('x'.repeat(400)) }),
    `
    S: 220 mx
    C: EHLO gw.example
    S: 250-mx
    S: 250 AUTH PLAIN
    C: AUTH PLAIN
    S: 334 
    C: ${Buffer.from(`joe@example.com\0gateway\0${'x'.repeat(400)}`).toString('base64')}
    S: 235 2.7.0 ok
    = ready`,
  ],
  [
    'wire 81: the backend refuses the gateway, in several lines',
    plain,
    `
    S: 220 mx
    C: EHLO gw.example
    S: 250-mx
    S: 250 AUTH=LOGIN PLAIN
    C: AUTH PLAIN ${auth}
    S: 535-5.7.8 Error:
    S: 535 5.7.8 authentication failed: ${auth}
    = failed refused-us: AUTH was answered 535 5.7.8`,
  ],
  [
    'the backend cannot tell now',
    plain,
    `
    S: 220 mx
    C: EHLO gw.example
    S: 250-mx
    S: 250 AUTH PLAIN
    C: AUTH PLAIN ${auth}
    S: 454 4.7.0 Temporary authentication failure
    = failed protocol: AUTH was answered 454 4.7.0`,
  ],
  [
    'no AUTH PLAIN',
    plain,
    `
    S: 220 mx
    C: EHLO gw.example
    S: 250 mx
    = failed protocol: the backend does not offer AUTH PLAIN`,
  ],
  [
    'a busy backend',
    plain,
    `
    S: 421 4.3.2 too busy
    = failed greeting: 421 4.3.2 too busy`,
  ],
  [
    'not a mail server',
    plain,
    `
    S: HTTP/1.1 400 Bad Request
    = failed protocol: not an SMTP reply`,
  ],
  [
    'a code that changes within a reply',
    plain,
    `
    S: 220-mx
    S: 250 mx
    = failed protocol: reply changes its code between lines`,
  ],
  [
    'a refusal within the message ends it, and no dot is sent',
    plain,
    `${uptoBody}
    > body "x\\r\\n"
    C: x
    S: 552 5.3.4 Message too big
    = 552 5.3.4
    > body "y\\r\\n"
    = failed closed: the connection is over`,
  ],
  [
    'wire 99: an acknowledgment within the message is none',
    plain,
    `${uptoBody}
    > body "x\\r\\n"
    C: x
    S: 250 2.0.0 Ok: queued
    = failed protocol: an unfinished message was answered 250 2.0.0 Ok: queued
    > end
    = failed closed: the connection is over`,
  ],
  [
    'success without a message is none',
    plain,
    `${login}
    > data
    C: DATA
    S: 250 2.0.0 Ok: queued
    = failed protocol: DATA was answered 250 2.0.0 Ok: queued`,
  ],
  [
    'wire 99: lost between end of data and reply',
    plain,
    `${uptoBody}
    > end
    C: .
    > ended
    = failed closed: the backend closed the connection`,
  ],
  [
    'wire 97: an envelope without waiting goes out so where PIPELINING is listed, replies in order',
    plain,
    `${pipeliningLogin}
    > mail a@example.com
    C: MAIL FROM:<a@example.com>
    > rcpt b@example.com
    C: RCPT TO:<b@example.com>
    > rcpt c@example.com
    C: RCPT TO:<c@example.com>
    S: 250 2.1.0 Ok
    S: 550-5.1.1 no
    S: 550 5.1.1 such user
    S: 250 2.1.5 Ok
    = 250 2.1.0
    = 550 5.1.1
    = 250 2.1.5
    > data
    C: DATA
    S: 354 go on
    = 354 -`,
  ],
  [
    'wire 97: one by one where it is not listed',
    plain,
    `${login}
    > mail a@example.com
    C: MAIL FROM:<a@example.com> BODY=8BITMIME
    > rcpt b@example.com
    > rcpt c@example.com
    S: 250 2.1.0 Ok
    = 250 2.1.0
    C: RCPT TO:<b@example.com>
    S: 550 5.1.1 no
    = 550 5.1.1
    C: RCPT TO:<c@example.com>
    S: 250 2.1.5 Ok
    = 250 2.1.5
    > reset
    C: RSET`,
  ],
  [
    'wire 97: more replies than commands',
    plain,
    `${pipeliningLogin}
    > mail a@example.com
    C: MAIL FROM:<a@example.com>
    > rcpt b@example.com
    C: RCPT TO:<b@example.com>
    S: 250 2.1.0 Ok
    S: 250 2.1.5 Ok
    S: 250 2.1.5 Ok
    = 250 2.1.0
    = 250 2.1.5
    = failed protocol: the backend spoke unasked`,
  ],
  [
    'wire 97: 421 ends what is under way',
    plain,
    `${pipeliningLogin}
    > mail a@example.com
    C: MAIL FROM:<a@example.com>
    > rcpt b@example.com
    C: RCPT TO:<b@example.com>
    S: 421 4.3.2 going down
    = 421 4.3.2
    > rcpt c@example.com
    = failed closed: the connection is over`,
  ],
  [
    'wire 73: asked what it offers, in TLS, and left',
    { ...plain, startTls: true, login: null },
    `
    S: 220 mx
    C: EHLO gw.example
    S: 250-mx
    S: 250 STARTTLS
    C: STARTTLS
    S: 220 go
    = start-tls
    > tls
    C: EHLO gw.example
    S: 250-mx
    S: 250 DSN
    = ready
    > quit
    C: QUIT
    = end`,
  ],
  [
    'closed for idling',
    plain,
    `${login}
    S: 421 4.4.2 mx Error: timeout exceeded
    = failed closed: 421 4.4.2 mx Error: timeout exceeded
    > ended
    > mail a@example.com
    = failed closed: the connection is over`,
  ],
  [
    '421 to a command ends the connection',
    plain,
    `${login}
    > mail a@example.com
    C: MAIL FROM:<a@example.com> BODY=8BITMIME
    S: 421 4.7.0 too many errors
    = 421 4.7.0
    > ended
    > rcpt b@example.com
    = failed closed: the connection is over`,
  ],
  [
    'a reply nobody asked for is not kept for the next command',
    plain,
    `${login}
    S: 250 2.0.0 Ok: queued as FORGED
    = failed protocol: the backend spoke unasked`,
  ],
  [
    'half a reply nobody asked for is not kept either',
    plain,
    `${login}
    S: 250-first
    > mail a@example.com
    = failed protocol: the backend spoke unasked`,
  ],
];

describe('submission client', () => {
  it.each(cases)('%s', (_, order, script) => {
    for (const delivery of deliveries(script)) expect(replay(script, order, delivery)).toBe(normal(script));
  });

  // These depend on what comes in one segment, so they have one delivery only.
  it.each([
    [
      'in the segment of the greeting',
      `
      S: 220 mx
      S: 250-mx
      = failed protocol: the backend answered before it was asked`,
      plain,
    ],
    [
      'in the segment of the answer to STARTTLS (wire 70)',
      `
      S: 220 mx
      C: EHLO gw.example
      S: 250-mx
      S: 250 STARTTLS
      C: STARTTLS
      S: 220 ready
      S: 250-mx
      = failed protocol: the backend answered before it was asked`,
      { ...plain, startTls: true },
    ],
  ])('refuses an answer %s', (_, script, order) => {
    expect(replay(script, order, 'whole')).toBe(normal(script));
  });

  it('refuses bytes in clear before the handshake (wire 70)', () => {
    const script = `
      S: 220 mx
      C: EHLO gw.example
      S: 250-mx
      S: 250 STARTTLS
      C: STARTTLS
      S: 220 ready
      = start-tls`;
    const order = { ...plain, startTls: true };
    let state = startSubmission(order);
    for (const line of ['220 mx\r\n', '250-mx\r\n250 STARTTLS\r\n', '220 ready\r\n']) {
      state = stepSubmission(state, { type: 'received', bytes: Buffer.from(line) }).state;
    }
    expect(replay(script, order, 'whole')).toBe(normal(script));
    const next = stepSubmission(state, { type: 'received', bytes: Buffer.from('2') });
    expect(next.effects).toEqual([
      { type: 'failed', kind: 'protocol', detail: 'bytes in clear after STARTTLS' },
    ]);
  });

  it('refuses an answer to what is not sent yet (wire 97)', () => {
    const script = `${login}
      > mail a@example.com
      C: MAIL FROM:<a@example.com> BODY=8BITMIME
      > rcpt b@example.com
      S: 250 2.1.0 Ok
      S: 250 2.1.5 Ok
      = failed protocol: the backend answered before it was asked`;
    expect(replay(script, plain, 'whole')).toBe(normal(script));
  });

  it.each(['reset', 'end-of-body'] as const)('lets nothing follow %s before its reply', (type) => {
    const steps = (texts: readonly string[]) =>
      texts.reduce(
        (state, text) => stepSubmission(state, { type: 'received', bytes: Buffer.from(text) }).state,
        startSubmission(plain),
      );
    let state = steps(['220 mx\r\n', '250-mx\r\n250-PIPELINING\r\n250 AUTH PLAIN\r\n', '235 ok\r\n']);
    if (type === 'end-of-body') {
      state = stepSubmission(state, { type: 'data' }).state;
      state = stepSubmission(state, { type: 'received', bytes: Buffer.from('354 go\r\n') }).state;
    }
    state = stepSubmission(state, { type }).state;
    expect(() => stepSubmission(state, { type: 'envelope', command: rcptOrder('b@x') })).toThrow(TypeError);
  });

  it('takes the second reply of one segment for nothing', () => {
    const script = `${login}
      > mail a@example.com
      C: MAIL FROM:<a@example.com> BODY=8BITMIME
      S: 250 2.1.0 Ok
      S: 250 2.1.5 Ok
      = 250 2.1.0
      = failed protocol: the backend spoke unasked`;
    expect(replay(script, plain, 'whole')).toBe(normal(script));
  });

  it('bounds what a backend can make it hold', () => {
    const start = startSubmission(plain);
    const endless = stepSubmission(start, { type: 'received', bytes: Buffer.alloc(5_000, 'x') });
    expect(endless.effects).toEqual([{ type: 'failed', kind: 'protocol', detail: 'reply line is too long' }]);
    const many = stepSubmission(start, { type: 'received', bytes: Buffer.from('220-x\r\n'.repeat(101)) });
    expect(many.effects).toEqual([{ type: 'failed', kind: 'protocol', detail: 'reply has too many lines' }]);
  });

  it('is never given a name that would shift the fields of PLAIN (S-05)', () => {
    let state = startSubmission(ordering({ authzid: 'joe\0gateway' }));
    state = stepSubmission(state, { type: 'received', bytes: Buffer.from('220 mx\r\n') }).state;
    expect(() =>
      stepSubmission(state, { type: 'received', bytes: Buffer.from('250-mx\r\n250 AUTH PLAIN\r\n') }),
    ).toThrow(TypeError);
  });
});
