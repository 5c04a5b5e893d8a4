/*
 * Who sits between gateway and backend can say anything before TLS. None of it may outlive STARTTLS, and nothing may make
 * the gateway go on in clear, where the master password would be read (S-46, wire 70; nginx CVE-2026-1642; EAST).
 */
import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Leg } from '../../src/upstream/leg.ts';
import { probe } from '../../src/upstream/probe.ts';
import { credentialBytes, upstreamOf } from '../upstream/bed.ts';
import { type Certificates, makeCertificates } from '../upstream/certificates.ts';
import { type DoorBed, openDoorBed } from '../upstream/door-bed.ts';
import { logsIn, ScriptedBackend } from '../upstream/scripted-backend.ts';

let certificates: Certificates;
let backend: ScriptedBackend;
let door: DoorBed;

beforeAll(async () => {
  certificates = await makeCertificates();
});
beforeEach(async () => {
  backend = await ScriptedBackend.open();
  const { ca } = certificates;
  door = await openDoorBed({ port: backend.port, tls: 'starttls', serverName: 'mail.backend.example', ca });
});
afterEach(async () => {
  await door.close();
  await backend.close();
});

/** Answers STARTTLS so, then begins TLS where `goesOn`. */
function answersStartTls(answer: string, goesOn: boolean): void {
  backend.answer = (line, socket) => {
    if (!line.startsWith('S ')) return logsIn(line);
    socket.write(answer, 'latin1');
    if (goesOn) backend.secure(socket, false, certificates.right);
    return null;
  };
}

describe('wire 70, S-46: STARTTLS at the backend', () => {
  it('is answered well: the login is inside TLS', async () => {
    answersStartTls('S OK go\r\n', true);
    expect(await door.say(door.logIn)).toContain('\r\na OK [CAPABILITY IMAP4rev1 IDLE] ');
    expect(backend.received).toMatch(/^S STARTTLS\r\nC CAPABILITY\r\nL AUTHENTICATE PLAIN /);
  });

  it.each([
    ['NO', 'S NO [UNAVAILABLE] not now\r\n'],
    ['BAD', 'S BAD unknown command\r\n'],
    ['a continuation', '+ go\r\n'],
    ['an OK to another command', 'L OK [CAPABILITY IMAP4rev1] in\r\n'],
    ['PREAUTH', '* PREAUTH welcome\r\n'],
    ['BYE', '* BYE bye\r\n'],
    ['an OK with capabilities behind it', 'S OK go\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n'],
    ['an OK with the next answer behind it', 'S OK go\r\nC OK done\r\n'],
    ['an OK with half a line behind it', 'S OK go\r\n* '],
    ['an OK with one byte behind it', 'S OK go\r\n\n'],
  ])('answered by %s: an outage, and not a byte more', async (_, answer) => {
    answersStartTls(answer, false);
    expect(await door.say(door.logIn)).toContain('\r\na NO [UNAVAILABLE] ');
    expect(backend.received).toBe('S STARTTLS\r\n');
  });

  it('injected in clear: neither capabilities nor alerts are believed', async () => {
    backend.greeting =
      '* OK [CAPABILITY IMAP4rev1 SASL-IR STARTTLS ID EVIL] ready\r\n* OK [ALERT] call +371 555\r\n';
    answersStartTls(
      '* CAPABILITY IMAP4rev1 EVIL\r\n* OK [ALERT] call +371 555\r\nS OK [CAPABILITY EVIL] go\r\n',
      true,
    );
    const heard = await door.say(door.logIn);
    expect(heard).toContain('\r\na OK [CAPABILITY IMAP4rev1 IDLE] ');
    expect(heard).not.toMatch(/EVIL|ALERT/);
  });

  it('greeted with PREAUTH, behind which no STARTTLS would be possible: an outage', async () => {
    backend.greeting = '* PREAUTH [CAPABILITY IMAP4rev1] welcome\r\n';
    expect(await door.say(door.logIn)).toContain('\r\na NO [UNAVAILABLE] ');
    expect(backend.received).toBe('');
  });

  it('offers none: it is asked for all the same, and its refusal is an outage', async () => {
    backend.greeting = '* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready\r\n';
    answersStartTls('S BAD what\r\n', false);
    expect(await door.say(door.logIn)).toContain('\r\na NO [UNAVAILABLE] ');
    expect(backend.received).not.toContain(credentialBytes);
  });
});

describe('wire 70: check --connect holds to the same', () => {
  const ask = async (leg: Leg) =>
    await probe(
      upstreamOf({
        port: backend.port,
        tls: 'starttls',
        serverName: 'mail.backend.example',
        ca: certificates.ca,
      }),
      leg,
      { hostname: 'gw.example', domains: ['example.com'], signal: AbortSignal.timeout(10_000) },
    );

  it('a certificate of nobody is a problem there too', async () => {
    backend.answer = (_, socket) => {
      socket.write('S OK go\r\n');
      backend.secure(socket, false, certificates.selfSigned);
      return null;
    };
    await expect(ask('imap')).rejects.toMatchObject({ kind: 'tls' });
  });

  it.each([
    ['imap', '* OK ready\r\n', () => 'S OK go\r\n* CAPABILITY EVIL\r\n'],
    [
      'smtp',
      '220 ready\r\n',
      (line: string) => (line.startsWith('EHLO') ? '250 gw\r\n' : '220 go\r\n250 EVIL\r\n'),
    ],
    ['pop3', '+OK ready\r\n', () => '+OK go\r\nEVIL\r\n'],
  ] as const)('%s: bytes behind the agreement', async (leg, greeting, answer) => {
    backend.greeting = greeting;
    backend.answer = (line) => answer(line);
    await expect(ask(leg)).rejects.toMatchObject({ kind: 'protocol' });
  });

  it.each([
    ['imap', '* OK ready\r\n', () => 'S NO no\r\n'],
    ['smtp', '220 ready\r\n', (line: string) => (line.startsWith('EHLO') ? '250 gw\r\n' : '454 no\r\n')],
    ['pop3', '+OK ready\r\n', () => '-ERR no\r\n'],
  ] as const)('%s: a refusal', async (leg, greeting, answer) => {
    backend.greeting = greeting;
    backend.answer = (line) => answer(line);
    expect((await ask(leg)).at(-1)).toMatchObject({
      level: 'problem',
      text: expect.stringContaining('begin TLS'),
    });
  });
});
