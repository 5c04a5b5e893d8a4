import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { reasonWords } from '../../src/cli/login-reasons.ts';
import { LoginLog, type LoginReport } from '../../src/credentials/login-log.ts';
import type { LoginReason } from '../../src/credentials/login-reason.ts';
import { StaleClients } from '../../src/credentials/stale-clients.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { openDatabase } from '../../src/store/database.ts';
import { makeSite, type Site } from './site.ts';

const day = 24 * 3_600_000;
let site: Site;

beforeEach(async () => {
  site = await makeSite();
  for (const words of [['keys', 'init'], ['migrate'], ['account', 'create', 'anna@example.com']]) {
    expect((await site.command(...words)).code).toBe(0);
  }
});
afterEach(async () => await site.remove());

/** Writes what a gateway would. */
async function log(at: number, reports: readonly Partial<LoginReport>[]): Promise<void> {
  const database = openDatabase(site.databaseFile);
  const now = () => at;
  const limits = { keepMs: 90 * day, perAccount: 1_000 };
  const metrics = createMetrics();
  const parts = { database, logger: createLogger('silent'), metrics, now, monotonic: now, limits };
  const loginLog = new LoginLog(parts);
  for (const report of reports) {
    loginLog.note({
      protocol: 'imap',
      reason: 'not-an-app-password',
      detail: null,
      account: 'anna@example.com',
      mayBePassword: false,
      address: '203.0.113.7',
      client: 'Outlook',
      mechanism: 'PLAIN',
      credentialId: null,
      ...report,
    });
  }
  await loginLog.stop();
  await database.destroy();
}

describe('login-log', () => {
  it('says why somebody cannot log in, and what to do', async () => {
    await log(Date.now(), [{}, {}, { reason: null, protocol: 'smtp' }]);
    const { out, code } = await site.command('login-log', 'Anna');
    expect(code).toBe(0);
    const lines = out.split('\n');
    expect(lines[0]).toMatch(/^LAST +TIMES +PROTOCOL +FROM +CLIENT +OUTCOME$/);
    expect(out).toMatch(
      /UTC {2}2 +imap +203\.0\.113\.7 +Outlook +refused: the password is not an app password\n {2}-> It is most likely the main password: create an app password/,
    );
    expect(out).toMatch(/UTC {2}1 +smtp +203\.0\.113\.7 +Outlook +logged in(\n|$)/);
  });

  it('names the app password, and the client that still sends one that ended', async () => {
    const { id } = (await site.dataOf(
      ...['app-password', 'create', '--account', 'anna@example.com', '--label', 'Old phone'],
    )) as { id: string };
    expect((await site.command('app-password', 'revoke', id)).code).toBe(0);
    const credentialId = Buffer.from(id, 'hex');
    await log(Date.now(), [{ reason: 'revoked', credentialId, client: 'iPhone Mail' }]);
    const database = openDatabase(site.databaseFile);
    const stale = new StaleClients({ database, logger: createLogger('silent'), now: Date.now });
    stale.note(credentialId, { address: '203.0.113.7', protocol: 'imap', client: 'iPhone Mail' });
    await stale.stop();
    await database.destroy();
    const { out } = await site.command('login-log', 'anna@example.com');
    expect(out).toContain('refused: an app password that was revoked ("Old phone")');
    expect(out).toMatch(/iPhone Mail still sends the app password "Old phone", which ended on \S+ \S+ UTC;/);
    expect(out).toContain('1 times, last at');
    expect(await site.dataOf('login-log', 'anna@example.com')).toMatchObject({
      isAccount: true,
      events: [{ outcome: 'refused', reason: 'revoked', label: 'Old phone', credential: id, times: 1 }],
      staleClients: [{ label: 'Old phone', client: 'iPhone Mail', credential: id, times: 1 }],
    });
  });

  it('looks back as far as it is told', async () => {
    await log(Date.now() - 3 * day, [{}]);
    expect((await site.command('login-log', 'anna@example.com')).out).toMatch(
      /^No login was tried as anna@example\.com since /,
    );
    expect((await site.command('login-log', 'anna@example.com', '--since', '7d')).out).toContain('refused:');
    expect(await site.command('login-log', 'anna@example.com', '--since', 'yesterday')).toMatchObject({
      code: 2,
      err: '--since takes 30s, 15m, 24h or 7d, not "yesterday".',
    });
  });

  it('knows names that are no account', async () => {
    await log(Date.now(), [{ account: 'ana@example.com', reason: 'unknown-account' }]);
    const { out } = await site.command('login-log', 'ana@example.com');
    expect(out).toContain('There is no account ana@example.com.');
    expect(out).toContain('refused: there is no such account');
  });

  it('S-65: shows control characters of a client or backend as text', async () => {
    await log(Date.now(), [{ client: 'K\u001b[31m9', reason: 'backend-refused', detail: 'X\u0007' }]);
    expect((await site.command('login-log', 'anna@example.com')).out).not.toMatch(/[\u001b\u0007]/);
  });

  it('has a sentence and a remedy for every reason, and for one that a newer version wrote', async () => {
    for (const { sentence, remedy } of Object.values(reasonWords)) {
      expect(sentence).toMatch(/^[a-z].*[^.]$/);
      expect(remedy).toMatch(/^[A-Z].*\.$/);
    }
    await log(Date.now(), [
      { reason: 'from-the-future' as LoginReason },
      { reason: 'constructor' as LoginReason },
    ]);
    const { out, code } = await site.command('login-log', 'anna@example.com');
    expect(code).toBe(0);
    expect(out.match(/for a reason that a newer version knows/g)).toHaveLength(2);
  });
});
