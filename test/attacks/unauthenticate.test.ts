/*
 * RFC 8437 UNAUTHENTICATE and PROXYAUTH: behind the splice a client could leave its login and try others at the backend
 * itself, past app passwords, throttle and log. A backend that offers them is refused at each login (S-48, wire 63), and
 * `check --connect` says so before anybody logs in.
 */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { probe } from '../../src/upstream/probe.ts';
import { credentialBytes, upstreamOf } from '../upstream/bed.ts';
import { type DoorBed, openDoorBed } from '../upstream/door-bed.ts';
import { ScriptedBackend } from '../upstream/scripted-backend.ts';

let backend: ScriptedBackend;
let door: DoorBed;

beforeEach(async () => {
  backend = await ScriptedBackend.open();
  door = await openDoorBed({ port: backend.port });
});
afterEach(async () => {
  await door.close();
  await backend.close();
});

describe.each(['UNAUTHENTICATE', 'unauthenticate', 'PROXYAUTH'])('S-48, wire 63: %s', (hole) => {
  it('in the list of the OK: nobody is logged in', async () => {
    backend.answer = () => `L OK [CAPABILITY IMAP4rev1 ${hole}] in\r\n`;
    expect(await door.say(door.logIn)).toContain('\r\na NO [UNAVAILABLE] ');
    expect(door.log).toContainEqual(
      expect.objectContaining({
        kind: 'protocol',
        detail: `the backend offers ${hole.toUpperCase()}: disable it there`,
      }),
    );
  });

  it('in the list that was asked for after it: the same', async () => {
    backend.answer = (line) =>
      line.startsWith('L ')
        ? 'L OK in\r\n'
        : `* CAPABILITY IMAP4rev1 ${hole}\r\n${line.split(' ')[0]} OK\r\n`;
    expect(await door.say(door.logIn)).toContain('\r\na NO [UNAVAILABLE] ');
  });

  it('in the list before the login: check calls it a problem, and sends no credential', async () => {
    backend.answer = (line) => `* CAPABILITY IMAP4rev1 AUTH=PLAIN ${hole}\r\n${line.split(' ')[0]} OK\r\n`;
    const findings = await probe(upstreamOf({ port: backend.port }), 'imap', {
      hostname: 'gw.example',
      domains: ['example.com'],
      signal: AbortSignal.timeout(10_000),
    });
    expect(findings.filter(({ level }) => level === 'problem').map(({ text }) => text)).toEqual([
      expect.stringContaining(`offers ${hole.toUpperCase()}, `),
    ]);
    expect(backend.received).not.toContain(credentialBytes);
  });
});
