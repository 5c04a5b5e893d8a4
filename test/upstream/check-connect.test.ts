import { afterEach, expect, it } from '@jest/globals';
import { makeSite } from '../cli/site.ts';
import { ScriptedBackend } from './scripted-backend.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function serverSaying(greeting: string, answers: Readonly<Record<string, string>>) {
  const backend = await ScriptedBackend.open();
  closers.push(() => backend.close());
  backend.greeting = greeting;
  backend.answer = (line) => answers[/^(?:C )?(\w+)/.exec(line)?.[1] ?? ''] ?? null;
  return { host: '127.0.0.1', port: backend.port, tls: 'none' };
}

it('S-48, S-49: check --connect tells what each leg of a backend answers, and fails for a hole', async () => {
  const imap = await serverSaying('* OK ready\r\n', {
    CAPABILITY: '* CAPABILITY IMAP4rev1 AUTH=PLAIN UNAUTHENTICATE\r\nC OK done\r\n',
  });
  const smtp = await serverSaying('220 mx\r\n', {
    EHLO: '250 AUTH PLAIN\r\n',
    MAIL: '250 Ok\r\n',
    RCPT: '250 Ok\r\n',
    RSET: '250 Ok\r\n',
  });
  const pop3 = await serverSaying('+OK hello\r\n', { CAPA: '+OK\r\nSASL PLAIN\r\n.\r\n' });
  const site = await makeSite({
    backends: {
      office: { imap, smtp, pop3, login: { method: 'master', user: 'gateway', password: 'not asked for' } },
    },
  });
  closers.push(site.remove);
  await site.command('keys', 'init');
  const { code, out } = await site.command('check', '--connect');
  expect(code).toBe(78);
  expect(out).toMatch(/answer +backends\.office\.imap: \* OK ready/);
  expect(out).toMatch(/problem +backends\.office\.imap: offers UNAUTHENTICATE, /);
  expect(out).toMatch(/answer +backends\.office\.smtp: 220 mx/);
  expect(out).toMatch(/warning +backends\.office\.smtp: relays to any domain without AUTH/);
  expect(out).toMatch(/answer +backends\.office\.pop3: \+OK hello/);
});
