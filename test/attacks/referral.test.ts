/*
 * RFC 2221: a server may answer a login with the address of another one, and clients take their password there. Whoever
 * can make a backend say so gets passwords (wire 50; EAST: "NO STARTTLS", 2021). Wherever it stands, no client sees it.
 */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type DoorBed, openDoorBed } from '../upstream/door-bed.ts';
import { logsIn, ScriptedBackend } from '../upstream/scripted-backend.ts';

const referral = '[REFERRAL imap://;AUTH=*@evil.example/]';
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

describe('wire 50: a referral of the backend', () => {
  it.each([
    ['in its greeting', { greeting: `* OK ${referral} go there\r\n` }, 'OK'],
    ['in a BYE for a greeting', { greeting: `* BYE ${referral} go there\r\n` }, 'NO'],
    ['in its NO', { login: `L NO ${referral} go there\r\n` }, 'NO'],
    ['in its OK', { login: `L OK ${referral} in\r\n` }, 'OK'],
    ['in its BAD', { login: `L BAD ${referral} in\r\n` }, 'NO'],
    ['in an untagged line before its OK', { login: `* OK ${referral} there\r\nL OK in\r\n` }, 'OK'],
    ['in lower case', { login: `* NO ${referral.toLowerCase()} there\r\nL OK in\r\n` }, 'OK'],
    ['in its BYE', { login: `* BYE ${referral} there\r\n` }, 'NO'],
  ])("%s is not the client's", async (_, says, word) => {
    if ('greeting' in says) backend.greeting = says.greeting;
    backend.answer = (line) => {
      if ('login' in says && line.startsWith('L ')) return says.login;
      return line.startsWith('L AUTH') && line.split(' ').length === 3
        ? '+ \r\n'
        : (bare(line) ?? logsIn(line));
    };
    const heard = await door.say(door.logIn);
    expect(heard).toMatch(new RegExp(`\\r\\na ${word} `));
    expect(heard).not.toMatch(/REFERRAL|evil/i);
  });

  it('announced among the capabilities is not announced to the client', async () => {
    backend.answer = () => 'L OK [CAPABILITY IMAP4rev1 LOGIN-REFERRALS MAILBOX-REFERRALS IDLE] in\r\n';
    expect(await door.say(door.logIn)).toMatch(/\r\na OK \[CAPABILITY IMAP4rev1 IDLE\] Logged in\r\n$/);
  });
});

/** The credentials, on a line of their own. */
function bare(line: string): string | null {
  return /^[A-Za-z0-9+/=]+$/.test(line) ? 'L OK [CAPABILITY IMAP4rev1] in\r\n' : null;
}
