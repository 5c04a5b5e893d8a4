/*
 * A backend that was taken over, or that somebody else answers for, learns the login it is given and nothing more: it
 * cannot speak to a client before the login, keep logins waiting, fill memory, or close the door to other backends
 * (S-46, S-52). What it says is an outage, never a wrong password.
 */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { OwnEndpoints } from '../../src/upstream/own-endpoints.ts';
import { type DoorBed, openDoorBed } from '../upstream/door-bed.ts';
import { logsIn, ScriptedBackend } from '../upstream/scripted-backend.ts';

const outage = 'a NO [UNAVAILABLE] Temporary authentication failure.';
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

/** All that a client hears behind its greeting when it logs in. */
async function heard(until = '\r\na '): Promise<string> {
  return (await door.sayUntil(until, door.logIn)).replace(/^\* OK \[CAPABILITY [^\r]*\r\n/, '').trimEnd();
}

describe('wire 69, S-46: a greeting that is none', () => {
  it.each([
    ['PREAUTH', '* PREAUTH [CAPABILITY IMAP4rev1] welcome alice\r\n'],
    ['BYE', '* BYE [ALERT] call +371 555\r\n'],
    ['NO', '* NO [ALERT] call\r\n'],
    ['BAD', '* BAD call\r\n'],
    ['HTTP', 'HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n'],
    ['SMTP', '220 mail.example ESMTP\r\n'],
    ['a tagged OK, ready for our tag', 'L OK [CAPABILITY IMAP4rev1] in\r\n'],
    ['TLS', '\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03\n'],
    ['nothing readable', `${'\x00'.repeat(100)}\n`],
  ])('%s: an outage, and no credential is sent', async (_, greeting) => {
    backend.greeting = greeting;
    expect(await heard()).toBe(outage);
    expect(backend.received).toBe('');
  });

  it("wire 59: everything in one segment: only what stands behind our OK is the client's", async () => {
    backend.greeting =
      '* OK [CAPABILITY IMAP4rev1 SASL-IR] x\r\n* 1 EXISTS\r\nL OK [CAPABILITY IMAP4rev1] in\r\n* 2 EXISTS\r\n';
    backend.answer = () => null;
    expect(await heard('* 2 EXISTS')).toBe(
      'a OK [CAPABILITY IMAP4rev1] Logged in\r\n* 1 EXISTS\r\n* 2 EXISTS',
    );
  });
});

describe('S-52: a backend that does not stop', () => {
  it.each([
    ['untagged lines', '* 1 EXISTS\r\n'.repeat(100)],
    ['one line', 'x'.repeat(1_200)],
    ['literals', '* X {1000}\r\n'],
    ['capabilities', `* CAPABILITY ${'X'.repeat(500)}\r\n`],
    ['alerts', `* OK [ALERT] ${'look '.repeat(100)}\r\n`],
  ])('%s: cut off before 200 KB, and the client hears of an outage', async (_, piece) => {
    let sent = 0;
    backend.answer = (line, socket) => {
      if (!line.includes('AUTHENTICATE')) return logsIn(line);
      const pour = () => {
        while (sent < 50_000_000 && socket.writable) {
          sent += piece.length;
          if (!socket.write(piece)) {
            socket.once('drain', pour);
            return;
          }
        }
      };
      pour();
      return null;
    };
    const before = process.memoryUsage.rss();
    expect(await heard()).toBe(outage);
    expect(process.memoryUsage.rss() - before).toBeLessThan(64 << 20);
    // What fits into the buffers of two sockets, and no more.
    expect(sent).toBeLessThan(20_000_000);
  });

  it('a greeting without end is cut off too', async () => {
    backend.greeting = `* OK ${'x'.repeat(100_000)}`;
    expect(await heard()).toBe(outage);
    expect(backend.received).toBe('');
  });

  it('S-52: one account that fails a thousand times keeps nobody else out', async () => {
    backend.greeting = '* BAD no\r\n';
    const slow = await openDoorBed({ port: backend.port }, { retryWaitsMs: [] });
    for (let count = 0; count < 100; count += 1) expect(await slow.say(slow.logIn)).toContain(outage);
    expect(backend.sockets).toHaveLength(100);
    backend.greeting = '* OK [CAPABILITY IMAP4rev1 SASL-IR] ready\r\n';
    expect(await slow.say(slow.logIn)).toContain('\r\na OK ');
    await slow.close();
  });
});

describe('wire 42, 60: what a backend says besides its OK', () => {
  it('comes behind ours, without what could quote the master password or lead elsewhere', async () => {
    backend.answer = (line) => {
      const sasl = line.split(' ')[3] ?? '';
      return [
        `* OK [ALERT] Quota soon full`,
        `* BAD [ALERT] unknown: ${sasl}`,
        `* XDEBUG ${sasl}`,
        `* OK [REFERRAL imap://evil/] there`,
        `* ID ("name" "x")`,
        `L OK [CAPABILITY IMAP4rev1 IDLE] in`,
        '* 3 EXISTS\r\n',
      ].join('\r\n');
    };
    expect(await heard('* 3 EXISTS')).toBe(
      [
        'a OK [CAPABILITY IMAP4rev1 IDLE] Logged in',
        '* OK [ALERT] Quota soon full',
        '* BAD [ALERT] unknown: ...',
        '* 3 EXISTS',
      ].join('\r\n'),
    );
  });

  it('is never heard where the login fails', async () => {
    backend.answer = () => '* OK [ALERT] call +371 555\r\nL NO [AUTHENTICATIONFAILED] no\r\n';
    expect(await heard()).toBe(outage);
  });
});

describe('wire 47: a backend that is being restarted', () => {
  it('is asked again, and the client knows nothing of it', async () => {
    let count = 0;
    backend.greeting = () => {
      count += 1;
      return count < 3 ? '* BYE going down\r\n' : '* OK [CAPABILITY IMAP4rev1 SASL-IR] ready\r\n';
    };
    expect(await heard()).toMatch(/^a OK /);
    expect(backend.sockets).toHaveLength(3);
  });

  it('is asked again when it closes without a word', async () => {
    let count = 0;
    backend.greeting = () => {
      count += 1;
      if (count > 1) return '* OK [CAPABILITY IMAP4rev1 SASL-IR] ready\r\n';
      backend.sockets.at(-1)?.destroy();
      return null;
    };
    expect(await heard()).toMatch(/^a OK /);
  });
});

describe('wire 49: a backend that refuses our own credential', () => {
  it('is an outage for each client, one alarm a minute, and counted each time', async () => {
    backend.answer = () => 'L NO [AUTHENTICATIONFAILED] no\r\n';
    for (let count = 0; count < 4; count += 1) expect(await heard()).toBe(outage);
    expect(alarms()).toEqual(['refused-us']);
    expect(await door.bed.value('sallyport_upstream_errors_total', { kind: 'refused-us' })).toBe(4);
    door.clock.now = 60_000;
    expect(await heard()).toBe(outage);
    expect(alarms()).toHaveLength(2);
  });
});

describe('wire 72: a backend that is this gateway', () => {
  it('is a fault that says so, after one connection', async () => {
    const own = new OwnEndpoints();
    own.add('::', backend.port);
    const looped = await openDoorBed({ port: backend.port }, { own });
    expect(await looped.say(looped.logIn, looped.logIn.replace(/^a/, 'b'))).toMatch(
      /\r\na NO \[SERVERBUG\] Internal error\.\r\nb NO \[SERVERBUG\] Internal error\.\r\n$/,
    );
    expect([backend.sockets.length, backend.received]).toEqual([2, '']);
    expect(looped.log.filter(({ level }) => Number(level) >= 50)).toMatchObject([
      { kind: 'loop', detail: `127.0.0.1 port ${backend.port} is this gateway itself` },
    ]);
    await looped.close();
  });

  it('ends where hops run out: a client that says none are left', async () => {
    expect(await door.say('i ID ("x-proxy-ttl" "0")', door.logIn)).toContain('\r\na NO [SERVERBUG] ');
    expect(backend.sockets).toHaveLength(0);
  });
});

describe('wire 137: Exchange, where the mailbox cannot be opened', () => {
  it('is told before the login is', async () => {
    backend.greeting = '* OK The Microsoft Exchange IMAP4 service is ready. [TABMAFAAUgAwADYA]\r\n';
    backend.answer = (line) => {
      if (line.startsWith('C ')) return '* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN\r\nC OK done\r\n';
      if (line.startsWith('L ')) return 'L OK AUTHENTICATE completed.\r\n';
      return `${line.split(' ')[0]} BAD User is authenticated but not connected.\r\n`;
    };
    expect(await heard()).toBe('a NO [UNAVAILABLE] User is authenticated but not connected.');
  });
});

function alarms(): unknown[] {
  return door.log.filter(({ level }) => Number(level) >= 50).map(({ kind }) => kind);
}
