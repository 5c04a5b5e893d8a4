import { afterEach, describe, expect, it } from '@jest/globals';
import { auditKey, beginning, nextHead } from '../../src/credentials/audit-chain.ts';
import { AuditTrail } from '../../src/credentials/audit-trail.ts';
import { AuditUpkeep } from '../../src/credentials/audit-upkeep.ts';
import { verifyAudit } from '../../src/credentials/audit-verify.ts';
import { Journal, type JournalEvent } from '../../src/credentials/journal.ts';
import type { KeyRing } from '../../src/credentials/key-file.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { type Database, migrate } from '../../src/store/database.ts';
import { engines, scratchDatabase } from '../store/scratch-database.ts';
import { tester } from '../support/journal.ts';
import { Clock } from './bed.ts';
import { keyRing } from './keys.ts';

const day = 86_400_000;
const someone = { id: Buffer.alloc(16, 7), address: 'anna@example.com' };

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

describe('requirements 3.15', () => {
  it('the head after an entry is the published one', () => {
    const key = auditKey(keyRing(), 1) ?? Buffer.alloc(0);
    const entry = Buffer.from('{"at":1795305600000,"event":"app_password.created","seq":1}');
    expect(nextHead(key, beginning, entry).toString('hex')).toBe(
      '6a7bf381b596baaae18720826620135cf4fa85e052d74ba4566f941633c5459e',
    );
  });
});

describe.each(engines)('the audit trail on %s', (engine) => {
  async function open(options: { readonly keys?: KeyRing } = {}) {
    const scratch = await scratchDatabase(engine);
    closers.push(() => scratch.close());
    const database = scratch.open();
    await migrate(database);
    const clock = new Clock();
    const lines: Record<string, unknown>[] = [];
    const sink = { write: (line: string) => void lines.push(JSON.parse(line)) };
    const logger = createLogger('info', sink);
    const metrics = createMetrics();
    const keys = options.keys ?? keyRing();
    /** A process: a chain of its own. */
    const start = (own: KeyRing = keys) => {
      const audit = new AuditTrail({ keys: own, now: clock.now, node: 'mail1', logger, metrics });
      const journal = new Journal({ audit, notices: null });
      const record = async (event: JournalEvent, on: Database = database) =>
        await journal.record(on, { account: someone, actor: tester, event });
      const upkeep = new AuditUpkeep({
        ...{ database, keys: own, audit, logger, now: clock.now, keepMs: 400 * day },
      });
      return { audit, record, upkeep };
    };
    const entries = async () =>
      await database.selectFrom('audit_entry').selectAll().orderBy('chain').orderBy('seq').execute();
    const chains = async () => await database.selectFrom('audit_chain').selectAll().orderBy('id').execute();
    const verify = async (heads: Parameters<typeof verifyAudit>[2] = [], own: KeyRing = keys) =>
      await verifyAudit(database, own, heads);
    const faults = async (heads: Parameters<typeof verifyAudit>[2] = []) =>
      (await verify(heads)).faults.map(({ seq, kind }) => `${seq} ${kind}`);
    return { scratch, database, clock, lines, metrics, keys, start, entries, chains, verify, faults };
  }

  /** A chain of an opening entry and those of numbers 2 to 6. */
  async function withEntries() {
    const bed = await open();
    const process = bed.start();
    for (let count = 0; count < 5; count += 1)
      await process.record({ action: 'app-passwords.revoked', count });
    return { ...bed, process };
  }

  it('S-92: enters who did what to whom, and why, and verifies', async () => {
    const bed = await open();
    const process = bed.start();
    await process.record({ action: 'account.mfa-set', mfa: 'off' });
    await process.audit.close(bed.database);
    const [opened, entry, closed] = await bed.entries();
    expect(JSON.parse(opened?.entry ?? '')).toMatchObject({ seq: 1, action: 'audit.opened' });
    expect(JSON.parse(entry?.entry ?? '')).toEqual({
      chain: process.audit.chainId,
      seq: 2,
      at: bed.clock.now(),
      actor: { kind: 'operator', user: 'test' },
      action: 'account.mfa-set',
      account: { id: '07'.repeat(16), address: 'anna@example.com' },
      object: { mfa: 'off' },
      reason: null,
    });
    expect(JSON.parse(closed?.entry ?? '')).toMatchObject({ seq: 3, action: 'audit.closed' });
    expect(await bed.verify()).toEqual({ chains: 1, entries: 3, faults: [], isCut: false, open: [] });
  });

  it('S-91: keeps no field that it does not name', async () => {
    const bed = await open();
    const event = { action: 'account.disabled', secret: 'abcdefghijklmnoq' } as const;
    await bed.start().record(event as JournalEvent);
    expect(JSON.stringify(await bed.entries())).not.toContain('abcdefghijklmnoq');
  });

  it('a change that is rolled back leaves neither entry nor gap, wherever it fails', async () => {
    const bed = await open();
    const process = bed.start();
    const fail = async () =>
      await bed.database
        .transaction()
        .execute(async (transaction) => {
          await process.record({ action: 'account.disabled' }, transaction);
          await process.record({ action: 'account.enabled' }, transaction);
          throw new Error('undone');
        })
        .catch(() => undefined);
    await fail();
    expect(await bed.entries()).toEqual([]);
    await process.record({ action: 'account.viewed' });
    await fail();
    await fail();
    await process.record({ action: 'account.viewed' });
    expect((await bed.entries()).map(({ seq, action }) => [seq, action])).toEqual([
      [1, 'audit.opened'],
      [2, 'account.viewed'],
      [3, 'account.viewed'],
    ]);
    expect(await bed.faults()).toEqual([]);
    expect(bed.lines).toEqual([]);
  });

  it('many changes at once, of one process over several connections, half of them undone, are one chain', async () => {
    const bed = await open();
    const process = bed.start();
    const work = Array.from({ length: 40 }, async (_, count) =>
      bed.database.transaction().execute(async (transaction) => {
        await process.record({ action: 'app-passwords.revoked', count }, transaction);
        if (count % 2 === 1) throw new Error('undone');
      }),
    );
    await Promise.allSettled(work);
    const rows = await bed.entries();
    expect(rows.map(({ seq }) => seq)).toEqual(Array.from({ length: 21 }, (_, index) => index + 1));
    expect(await bed.faults()).toEqual([]);
    expect(await bed.chains()).toHaveLength(1);
    expect(bed.lines).toEqual([]);
  });

  it('several processes at once have chains of their own, and later ones name where the earlier stood', async () => {
    const bed = await open();
    const processes = [bed.start(), bed.start(), bed.start()];
    await Promise.all(
      processes.flatMap(({ record }) =>
        Array.from({ length: 5 }, async () => record({ action: 'account.viewed' })),
      ),
    );
    const last = bed.start();
    await last.record({ action: 'account.viewed' });
    expect(await bed.chains()).toHaveLength(4);
    expect(await bed.faults()).toEqual([]);
    const [opened] = (await bed.entries()).filter(({ chain }) => chain === last.audit.chainId);
    const named = JSON.parse(opened?.entry ?? '').object.witnessed.map((each: { seq: number }) => each.seq);
    expect(named).toEqual([6, 6, 6]);
  });

  it('S-92: a new mac key closes the chain with an entry that names the next', async () => {
    const old = keyRing();
    const both = keyRing({
      mac: [
        { id: 1, first: 0x20, state: 'accept' },
        { id: 2, first: 0x70 },
      ],
    });
    let keys = old;
    const changing: KeyRing = {
      activeId: (family) => keys.activeId(family),
      ids: (family) => keys.ids(family),
      derive: (...of) => keys.derive(...of),
    };
    const bed = await open({ keys: changing });
    const process = bed.start();
    await process.record({ action: 'account.viewed' });
    const first = process.audit.chainId;
    keys = both;
    await process.record({ action: 'account.viewed' });
    expect(process.audit.chainId).not.toBe(first);
    const closed = (await bed.entries()).find(({ action }) => action === 'audit.closed');
    expect(JSON.parse(closed?.entry ?? '')).toMatchObject({
      chain: first,
      object: { next: process.audit.chainId },
    });
    expect((await bed.chains()).map(({ mac_key }) => mac_key).toSorted()).toEqual([1, 2]);
    expect(await bed.faults()).toEqual([]);
    const gone = keyRing({ mac: [{ id: 2, first: 0x70 }] });
    expect((await bed.verify([], gone)).faults).toMatchObject([{ chain: first, kind: 'unverifiable' }]);
  });

  describe('S-92: names the place of what somebody changed in SQL', () => {
    const texts: readonly [
      string,
      readonly string[],
      (bed: Awaited<ReturnType<typeof withEntries>>) => Promise<unknown>,
    ][] = [
      [
        'an entry edited',
        ['4 altered'],
        async ({ database, entries }) => {
          const text = (await entries())[3]?.entry.replace('"count":2', '"count":9') ?? '';
          return await database
            .updateTable('audit_entry')
            .set({ entry: text } as never)
            .where('seq', '=', 4)
            .execute();
        },
      ],
      [
        'an entry edited together with its head',
        ['4 altered', '5 altered'],
        async ({ database, entries }) => {
          const text = (await entries())[3]?.entry.replace('"count":2', '"count":9') ?? '';
          const forged = nextHead(Buffer.alloc(32), beginning, Buffer.from(text));
          return await database
            .updateTable('audit_entry')
            .set({ entry: text, head: forged } as never)
            .where('seq', '=', 4)
            .execute();
        },
      ],
      [
        'an entry deleted',
        ['3 missing'],
        async ({ database }) => database.deleteFrom('audit_entry').where('seq', '=', 3).execute(),
      ],
      [
        'the first entries deleted',
        ['1 missing'],
        async ({ database }) => database.deleteFrom('audit_entry').where('seq', '<=', 2).execute(),
      ],
      [
        'the first entries deleted, and the chain said to begin behind them',
        ['3 cut-off'],
        async ({ database, entries }) => {
          const head = (await entries())[1]?.head ?? beginning;
          await database.deleteFrom('audit_entry').where('seq', '<=', 2).execute();
          await database.updateTable('audit_chain').set({ base_seq: 2, base_head: head }).execute();
        },
      ],
      [
        'two entries exchanged',
        ['3 altered', '3 misplaced', '4 altered', '4 misplaced', '5 altered'],
        async ({ database }) => {
          const move = async (from: number, to: number) =>
            database
              .updateTable('audit_entry')
              .set({ seq: to } as never)
              .where('seq', '=', from)
              .execute();
          await move(3, 99);
          await move(4, 3);
          await move(99, 4);
        },
      ],
      [
        'the end cut off',
        ['5 cut-off'],
        async ({ database }) => database.deleteFrom('audit_entry').where('seq', '>=', 5).execute(),
      ],
      [
        'an entry appended',
        ['7 misplaced'],
        async ({ database, entries }) => {
          const last = (await entries()).at(-1);
          if (last === undefined) throw new Error('no entry');
          await database
            .insertInto('audit_entry')
            .values({ ...last, seq: 7 })
            .execute();
        },
      ],
      [
        'an entry filed under another account',
        ['3 altered'],
        async ({ database }) =>
          database
            .updateTable('audit_entry')
            .set({ account_id: Buffer.alloc(16, 9) } as never)
            .where('seq', '=', 3)
            .execute(),
      ],
      [
        'an entry that is no entry',
        ['3 altered', '3 altered'],
        async ({ database }) =>
          database
            .updateTable('audit_entry')
            .set({ entry: '[]' } as never)
            .where('seq', '=', 3)
            .execute(),
      ],
      [
        'the chain taken out of the list',
        ['null unlisted'],
        async ({ database }) => database.deleteFrom('audit_chain').execute(),
      ],
    ];

    it.each(texts)('%s: %j', async (_, expected, tamper) => {
      const bed = await withEntries();
      await tamper(bed);
      expect(await bed.faults()).toEqual(expected);
    });

    it('an end cut off, and the list of chains made to agree: by the head that was shipped', async () => {
      const bed = await withEntries();
      const rows = await bed.entries();
      const { id, seq, head } = (await bed.chains())[0] ?? { id: '', seq: 0, head: beginning };
      await bed.database.deleteFrom('audit_entry').where('seq', '>=', 5).execute();
      await bed.database
        .updateTable('audit_chain')
        .set({ seq: 4, head: rows[3]?.head ?? beginning })
        .execute();
      // Said in plain words: by itself this is a process that was killed.
      expect(await bed.verify()).toMatchObject({ faults: [], open: [{ chain: id, seq: 4 }] });
      expect(await bed.faults([{ chain: id, seq, head }])).toEqual(['6 cut-off']);
    });

    it('the same of a chain that a later one names, and of one that was closed', async () => {
      const bed = await withEntries();
      const rows = await bed.entries();
      const cut = async (closedAt: number | null) => {
        await bed.database
          .deleteFrom('audit_entry')
          .where('chain', '=', rows[0]?.chain ?? '')
          .where('seq', '>=', 5)
          .execute();
        await bed.database
          .updateTable('audit_chain')
          .set({ seq: 4, head: rows[3]?.head ?? beginning, closed_at: closedAt })
          .where('id', '=', rows[0]?.chain ?? '')
          .execute();
      };
      await bed.process.audit.close(bed.database);
      await cut(bed.clock.now());
      expect(await bed.faults()).toEqual(['4 cut-off']);
      const next = bed.start();
      await next.record({ action: 'account.viewed' });
      await bed.database
        .deleteFrom('audit_entry')
        .where('chain', '=', rows[0]?.chain ?? '')
        .execute();
      await bed.database
        .deleteFrom('audit_chain')
        .where('id', '=', rows[0]?.chain ?? '')
        .execute();
      expect(await bed.faults()).toEqual(['4 cut-off']);
    });

    it('a head that was shipped and is another', async () => {
      const bed = await withEntries();
      const { id } = (await bed.chains())[0] ?? { id: '' };
      expect(await bed.faults([{ chain: id, seq: 3, head: Buffer.alloc(32) }])).toEqual(['3 altered']);
      expect(await bed.faults([{ chain: 'elsewhere', seq: 3, head: Buffer.alloc(32) }])).toEqual([
        '3 cut-off',
      ]);
    });

    it('the process itself notices that its end was cut off, tells so and goes on in a new chain', async () => {
      const bed = await withEntries();
      // A reader that has seen it committed.
      await bed.process.record({ action: 'account.viewed' });
      const rows = await bed.entries();
      await bed.database.deleteFrom('audit_entry').where('seq', '>=', 5).execute();
      await bed.database
        .updateTable('audit_chain')
        .set({ seq: 4, head: rows[3]?.head ?? beginning })
        .execute();
      await bed.process.record({ action: 'account.viewed' });
      expect(bed.lines).toMatchObject([{ event: 'integrity-alarm', table: 'audit_chain', seq: 4, known: 7 }]);
      const alarms = await bed.metrics.integrityAlarms.get();
      expect(alarms.values).toMatchObject([{ labels: { table: 'audit_chain' }, value: 1 }]);
      expect(await bed.chains()).toHaveLength(2);
    });
  });

  describe('S-92: the heads', () => {
    it('are told of every chain that has grown, and where it ends', async () => {
      const bed = await withEntries();
      const heads = () =>
        bed.lines.splice(0).map(({ event, chain, seq, head }) => ({ event, chain, seq, head }));
      await bed.process.upkeep.tell();
      const [first] = await bed.chains();
      const told = { event: 'audit-head', chain: first?.id, seq: 6, head: first?.head.toString('hex') };
      expect(heads()).toEqual([told]);
      await bed.process.upkeep.tell();
      expect(heads()).toEqual([]);
      // A command ran meanwhile and is gone.
      const command = bed.start();
      await command.record({ action: 'account.viewed' });
      await command.audit.close(bed.database);
      bed.clock.advance(1);
      await bed.process.upkeep.stop();
      expect(heads()).toMatchObject([
        { chain: command.audit.chainId, seq: 3 },
        { chain: first?.id, seq: 7 },
      ]);
    });
  });

  describe('S-92: what was kept long enough', () => {
    it('is deleted, which is an entry itself, and the rest verifies', async () => {
      const bed = await withEntries();
      bed.clock.advance(10 * day);
      await bed.process.record({ action: 'account.viewed' });
      const { head } = (await bed.entries())[2] ?? { head: beginning };
      bed.clock.advance(391 * day);
      await bed.process.upkeep.purge();
      expect((await bed.entries()).map(({ seq, action }) => [seq, action])).toEqual([
        [7, 'account.viewed'],
        [8, 'audit.purged'],
      ]);
      expect(await bed.faults()).toEqual([]);
      const { id } = (await bed.chains())[0] ?? { id: '' };
      expect(await bed.faults([{ chain: id, seq: 3, head }])).toEqual([]);
      await bed.process.record({ action: 'account.viewed' });
      expect(await bed.faults()).toEqual([]);
    });

    it('a chain without entries goes when no other can name it any more', async () => {
      const bed = await withEntries();
      await bed.process.audit.close(bed.database);
      bed.clock.advance(300 * day);
      const next = bed.start();
      await next.record({ action: 'account.viewed' });
      bed.clock.advance(200 * day);
      await next.upkeep.purge();
      expect(await bed.chains()).toHaveLength(2);
      expect(await bed.faults()).toEqual([]);
      bed.clock.advance(800 * day);
      await next.upkeep.purge();
      expect((await bed.chains()).map(({ id }) => id)).toEqual([next.audit.chainId]);
      expect(await bed.faults()).toEqual([]);
    });

    it('is deleted only where it is genuine: an entry dated back by SQL stays', async () => {
      const bed = await withEntries();
      await bed.database
        .updateTable('audit_entry')
        .set({ at: 1 } as never)
        .execute();
      await bed.process.upkeep.purge();
      expect(await bed.entries()).toHaveLength(6);
    });
  });
});
