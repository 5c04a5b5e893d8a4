import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { parseAppPassword } from '../../src/credentials/app-password.ts';
import { rowMac } from '../../src/credentials/row-mac.ts';
import { selectorOf } from '../../src/credentials/selector.ts';
import { createAuthReplies } from '../../src/proxy/auth-reply.ts';
import type { Account } from '../../src/store/schema.ts';
import { listStaleClients } from '../../src/store/stale-clients.ts';
import { engines } from '../store/scratch-database.ts';
import { tester } from '../support/journal.ts';
import { type Bed, openBed, outcomeOf } from './bed.ts';
import { until } from './until.ts';

const hour = 3_600_000;
const phone = { address: '203.0.113.7', client: 'iPhone Mail' };

describe.each(engines)('on %s', (engine) => {
  let bed: Bed;
  let anna: Account;

  beforeEach(async () => {
    bed = await openBed({ engine });
    anna = await bed.account('anna@example.com');
  });
  afterEach(() => bed.close());

  const known = () => listStaleClients(bed.database, anna.id, 0);
  const counted = () => bed.throttle.view({ account: 'anna@example.com', network: null }).entries.length;

  async function revoked(label: string) {
    const issued = await bed.issue(anna, { label });
    await bed.appPasswords.revoke(anna.id, issued.id, 'lost', tester);
    return issued;
  }

  describe('a client that still sends an app password that ended', () => {
    it('is remembered with what it is and when it came', async () => {
      const { id, password } = await revoked('Old phone');
      const endedAt = bed.clock.now();
      bed.clock.advance(hour);
      for (let poll = 0; poll < 3; poll += 1) {
        expect(outcomeOf(await bed.login('anna@example.com', password, phone))).toBe('revoked');
        bed.clock.advance(15 * 60_000);
      }
      await bed.login('anna@example.com', password, { ...phone, protocol: 'smtp', client: null });
      await bed.verifier.stop();
      expect(await known()).toEqual([
        {
          credential_id: id,
          label: 'Old phone',
          endedAt,
          first_at: endedAt + hour,
          last_at: endedAt + hour + 45 * 60_000,
          times: 4,
          protocol: 'smtp',
          address: phone.address,
          client: 'iPhone Mail',
        },
      ]);
    });

    it('is known for an expired one too, and told as expired', async () => {
      const { password, id } = await bed.issue(anna, { label: 'Scanner', expiresInMs: hour });
      bed.clock.advance(2 * hour);
      expect(outcomeOf(await bed.login('anna@example.com', password, phone))).toBe('expired');
      await bed.verifier.stop();
      expect(await known()).toMatchObject([{ credential_id: id, times: 1, label: 'Scanner' }]);
      expect(counted()).toBe(0);
    });

    it('adds up over processes, and is written once a minute', async () => {
      const { password } = await revoked('Old phone');
      const other = await openBed({ engine, file: bed.file, clock: bed.clock });
      try {
        for (const gateway of [bed, other]) {
          await gateway.login('anna@example.com', password, phone);
          await until(async () => (await known())[0]?.times === (gateway === bed ? 1 : 2));
        }
        for (let poll = 0; poll < 10; poll += 1) await bed.login('anna@example.com', password, phone);
        expect((await known())[0]?.times).toBe(2);
        bed.clock.advance(60_000);
        await until(async () => (await known())[0]?.times === 12);
      } finally {
        await other.close();
      }
    });

    it('goes with its app password', async () => {
      const { id, password } = await revoked('Old phone');
      await bed.login('anna@example.com', password, phone);
      await bed.database.deleteFrom('app_password').where('id', '=', id).execute();
      await bed.verifier.stop();
      expect(await known()).toEqual([]);
      expect(bed.log.join('')).not.toContain('stale clients not written');
    });
  });

  describe('S-22: what an ended app password costs', () => {
    it('one argon2id an hour, however often it comes', async () => {
      const { password } = await revoked('Old phone');
      let hashes = 0;
      const matches = bed.passwordHash.matches.bind(bed.passwordHash);
      bed.passwordHash.matches = async (...what) => {
        hashes += 1;
        return await matches(...what);
      };
      for (let poll = 0; poll < 500; poll += 1) await bed.login('anna@example.com', password, phone);
      expect(hashes).toBe(1);
      bed.clock.advance(hour);
      await bed.login('anna@example.com', password, phone);
      expect(hashes).toBe(2);
    });

    it('is looked at again when its expiry was moved', async () => {
      const { id, password } = await bed.issue(anna, { expiresInMs: hour });
      bed.clock.advance(2 * hour);
      expect(outcomeOf(await bed.login('anna@example.com', password, phone))).toBe('expired');
      await bed.appPasswords.update(anna.id, id, { expiresInMs: 24 * hour }, 'by the owner', tester);
      expect(outcomeOf(await bed.login('anna@example.com', password, phone))).toBe('verified');
    });
  });

  describe('S-19: what an attacker gains by holding one', () => {
    it('nothing: his guesses count, and are refused with it', async () => {
      const { password } = await revoked('Stolen laptop');
      const outcomes: string[] = [];
      for (let attempt = 0; attempt < 30; attempt += 1) {
        outcomes.push(outcomeOf(await bed.login('anna@example.com', password, phone)));
        // The selector of the revoked row alone proves nothing.
        const guess = Buffer.from('aaaaaaaaaaaaaaar');
        guess[attempt % 15] = 0x62 + Math.floor(attempt / 15);
        outcomes.push(outcomeOf(await bed.login('anna@example.com', checked(guess), phone)));
      }
      expect(outcomes.slice(0, 40)).toEqual(Array.from({ length: 20 }, () => ['revoked', 'wrong']).flat());
      expect(new Set(outcomes.slice(40))).toEqual(new Set(['throttled']));
    });

    it('a wrong secret that meets the selector of a revoked one blames no device', async () => {
      const { id, password } = await revoked('Old phone');
      const secret = parseAppPassword(Buffer.from(password));
      if (secret === null) throw new Error('no app password');
      const { selector } = await bed.database
        .selectFrom('app_password')
        .select('selector')
        .where('id', '=', id)
        .executeTakeFirstOrThrow();
      expect(selectorOf(bed.keys, 1, anna.id, secret)).toBe(selector);
      const other = 'aaaaaaaaaaaaaaar';
      const typed = parseAppPassword(Buffer.from(other));
      if (typed === null) throw new Error('no app password');
      const theirs = selectorOf(bed.keys, 1, anna.id, typed) ?? 0;
      // The row under the wrong secret's selector: as a collision looks, but for the row's MAC.
      const row = await bed.database.selectFrom('app_password').selectAll().executeTakeFirstOrThrow();
      const moved = { ...row, selector: theirs };
      await bed.database
        .updateTable('app_password')
        .set({ selector: theirs, row_mac: rowMac(bed.keys, anna.address, moved) })
        .execute();
      expect(outcomeOf(await bed.login('anna@example.com', other, phone))).toBe('wrong');
      await bed.verifier.stop();
      expect(await known()).toEqual([]);
      expect(counted()).toBe(2);
    });

    it('wire 46: revoked, wrong and unknown read the same at the wire', async () => {
      const { password } = await revoked('Old phone');
      const replies = createAuthReplies({ portalUrl: 'https://mail.example.com', now: bed.clock.now });
      const said = async (name: string, secret: string) => {
        const verdict = await bed.login(name, secret, phone);
        if (verdict.kind === 'verified') throw new Error('let in');
        return replies.refusal(verdict, { protocol: 'imap', name, network: '203.0.113.7/32' });
      };
      const wrong = await said('anna@example.com', 'aaaaaaaaaaaaaaar');
      expect(await said('anna@example.com', password)).toEqual(wrong);
      expect(await said('nobody@example.com', password)).toEqual(wrong);
    });
  });

  describe('one letter wrong', () => {
    it('is told to the log, and at the wire it is not an app password', async () => {
      const replies = createAuthReplies({ portalUrl: 'https://mail.example.com', now: bed.clock.now });
      const said = async (secret: string, name: string) => {
        const verdict = await bed.login(name, secret, phone);
        if (verdict.kind === 'verified') throw new Error('let in');
        return [
          outcomeOf(verdict),
          replies.refusal(verdict, { protocol: 'imap', name, network: 'here' }),
        ] as const;
      };
      const [typo, typoReply] = await said('abcdefghijklmnop', 'anna@example.com');
      const [other, otherReply] = await said('my main password', 'bert@example.com');
      expect([typo, other]).toEqual(['one-letter-wrong', 'not-an-app-password']);
      expect(typoReply).toEqual(otherReply);
      // Both are one, whatever they are: nothing derived from either is kept (S-15).
      await bed.login('anna@example.com', 'my main password', phone);
      expect(bed.throttle.view({ account: 'anna@example.com', network: null }).entries[0]?.distinct).toBe(1);
    });
  });
});

/** With the check letter that makes it look like an app password. */
function checked(letters: Buffer): string {
  for (let letter = 0x61; letter <= 0x7a; letter += 1) {
    letters[15] = letter;
    if (parseAppPassword(letters) !== null) return letters.toString('latin1');
  }
  throw new Error('no check letter fits');
}
