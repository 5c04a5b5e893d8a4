import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { activateNewKeys, addNewKeys, removeKey } from '../../src/credentials/key-changes.ts';
import {
  createKeyFile,
  type KeyRing,
  type KeyRingFile,
  loadKeyFile,
} from '../../src/credentials/key-file.ts';
import { KeyMoves } from '../../src/credentials/key-moves.ts';
import { endUnderKey } from '../../src/credentials/key-retirement.ts';
import { SealBox, type SealPlace } from '../../src/credentials/seal.ts';
import { keyUses } from '../../src/store/key-uses.ts';
import type { Account } from '../../src/store/schema.ts';
import { insertFactor } from '../../src/store/second-factors.ts';
import { tester } from '../support/journal.ts';
import { type Bed, openBed, outcomeOf } from './bed.ts';

// Two nodes on one database, each with a copy of the key file of its own.
let folder: string;
let nodes: {
  readonly bed: Bed;
  readonly keys: KeyRingFile;
  readonly path: string;
  readonly moves: KeyMoves;
}[];

async function node(number: number, file?: string) {
  const path = join(folder, `node-${number}.json`);
  if (number === 0) await createKeyFile(path, 0);
  else await copyFile(join(folder, 'node-0.json'), path);
  const keys = await loadKeyFile(path);
  const clock = nodes[0]?.bed.clock;
  const bed = await openBed({
    keys,
    ...(file === undefined ? {} : { file }),
    ...(clock === undefined ? {} : { clock }),
  });
  const { database, guard, revocations, logger } = bed;
  const moves = new KeyMoves({ database, keys, guard, highWater: null, revocations, logger });
  nodes.push({ bed, keys, path, moves });
}

const at = (number: number) => {
  const found = nodes[number];
  if (found === undefined) throw new Error('no such node');
  return found;
};

/** As the operator does: the file is copied, the node reads it. */
async function take(number: number): Promise<void> {
  if (number > 0) await copyFile(at(0).path, at(number).path);
  await at(number).keys.reload();
  await at(number).moves.start();
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sallyport-rotation-'));
  nodes = [];
  await node(0);
  await node(1, at(0).bed.file);
});
afterEach(async () => {
  for (const { bed, moves } of nodes) {
    await moves.stop();
    await bed.close();
  }
  await rm(folder, { recursive: true, force: true });
});

/** Accounts that log in at both nodes at once, past every cache. */
async function crowd(size: number) {
  const { bed } = at(0);
  const people: { readonly address: string; readonly password: string; readonly account: Account }[] = [];
  for (let index = 0; index < size; index += 1) {
    const account = await bed.account(`person-${index}@example.com`);
    people.push({ address: account.address, account, password: (await bed.issue(account)).password });
  }
  const outcomes: string[] = [];
  const everyone = async () => {
    // Records are too old now, and the feed was not read meanwhile: the store must answer.
    bed.clock.advance(2 * 3_600_000);
    const verdicts = await Promise.all(
      nodes.flatMap((each) => people.map(({ address, password }) => each.bed.login(address, password))),
    );
    outcomes.push(...verdicts.map(outcomeOf));
  };
  /** The step with logins before, during and after it. */
  const around = async (step: () => Promise<unknown>) => {
    const during = everyone();
    await step();
    await during;
    await everyone();
  };
  return { people, outcomes, everyone, around };
}

describe('S-40: two nodes under load', () => {
  it('not one login fails while every family is rotated and its old keys are retired', async () => {
    const { outcomes, around } = await crowd(6);
    const { path, bed } = at(0);
    await around(async () => addNewKeys(path, 'all', 0));
    await around(async () => take(0));
    await around(async () => take(1));
    await around(async () => activateNewKeys(path, 'all'));
    await around(async () => take(0));
    await around(async () => take(1));
    // One more round moves what another node had read just before.
    await around(async () => undefined);
    for (const each of nodes) await each.bed.verifier.stop();
    for (const family of ['pepper', 'mac', 'seal'] as const) {
      expect(await keyUses(bed.database, family, 1)).toEqual([]);
      await around(async () => removeKey(path, family, 1));
    }
    await around(async () => take(0));
    await around(async () => take(1));
    expect(new Set(outcomes)).toEqual(new Set(['verified']));
    expect(outcomes.length).toBeGreaterThan(200);
  });

  it('a node that was not given a key in use says so, and calls nothing a wrong password', async () => {
    const { people, everyone, outcomes } = await crowd(2);
    await addNewKeys(at(0).path, 'pepper', 0);
    await activateNewKeys(at(0).path, 'pepper');
    await take(0);
    await everyone();
    await at(0).bed.verifier.stop();
    const [first] = people;
    if (first === undefined) throw new Error('nobody');
    at(0).bed.clock.advance(2 * 3_600_000);
    expect(await at(1).bed.login(first.address, first.password)).toEqual({
      kind: 'unavailable',
      cause: 'an app password is under a key that this key file lacks',
    });
    await take(1);
    outcomes.splice(0);
    await everyone();
    expect(new Set(outcomes)).toEqual(new Set(['verified']));
  });

  it('a node that has not activated yet moves nothing back', async () => {
    const { everyone } = await crowd(2);
    const { path, bed } = at(0);
    await addNewKeys(path, 'all', 0);
    await take(0);
    await take(1);
    await activateNewKeys(path, 'all');
    await take(0);
    await everyone();
    await bed.verifier.stop();
    await at(1).moves.start();
    await everyone();
    for (const each of nodes) await each.bed.verifier.stop();
    expect(await keyUses(bed.database, 'pepper', 1)).toEqual([]);
    expect(await keyUses(bed.database, 'mac', 1)).toEqual([]);
  });
});

describe('S-40: what moves without a login', () => {
  async function rotated() {
    const set = await crowd(3);
    const { path, bed } = at(0);
    await addNewKeys(path, 'all', 0);
    await activateNewKeys(path, 'all');
    return { ...set, path, bed };
  }

  it('row MACs of app passwords nobody uses, revoked ones too, but nothing that was altered', async () => {
    const { people, bed, path } = await rotated();
    const [unused, revoked, altered] = people;
    if (unused === undefined || revoked === undefined || altered === undefined) throw new Error('too few');
    await bed.appPasswords.revokeAll(revoked.account.id, 'test', tester);
    await bed.database
      .updateTable('app_password')
      .set({ scopes: 7 })
      .where('account_id', '=', altered.account.id)
      .execute();
    await take(0);
    expect(await keyUses(bed.database, 'mac', 1)).toEqual([{ table: 'app_password', rows: 1 }]);
    await removeKey(path, 'mac', 1);
    await take(0);
    expect(outcomeOf(await bed.login(revoked.address, revoked.password))).toBe('revoked');
    expect(outcomeOf(await bed.login(unused.address, unused.password))).toBe('verified');
    expect(outcomeOf(await bed.login(altered.address, altered.password))).toBe('unavailable');
  });

  it('sealed seeds', async () => {
    const { people, bed, path } = await rotated();
    const [person] = people;
    if (person === undefined) throw new Error('nobody');
    const id = Buffer.alloc(16, 7);
    const place: SealPlace = {
      purpose: 'totp-seed',
      table: 'second_factor',
      column: 'sealed',
      rowId: id,
      accountId: person.account.id,
    };
    const sealed = new SealBox(bed.keys).seal(place, Buffer.from('12345678901234567890'));
    const factor = { id, account_id: person.account.id, kind: 'totp', sealed, created_at: 1 } as const;
    await insertFactor(bed.database, bed.guard, { ...factor, confirmed_at: 5 });
    expect(await keyUses(bed.database, 'seal', 1)).toEqual([{ table: 'second_factor', rows: 1 }]);
    await take(0);
    expect(await keyUses(bed.database, 'seal', 1)).toEqual([]);
    expect(await keyUses(bed.database, 'seal', 2)).toEqual([{ table: 'second_factor', rows: 1 }]);
    await removeKey(path, 'seal', 1);
    await take(0);
    const row = await bed.database.selectFrom('second_factor').selectAll().executeTakeFirstOrThrow();
    expect(bed.guard.isGenuine('second_factor', row)).toBe(true);
    expect(new SealBox(bed.keys).open(place, row.sealed).toString()).toBe('12345678901234567890');
  });

  it('sealed seeds behind one that was lost with its key', async () => {
    const { people, bed, path } = await rotated();
    const [person] = people;
    if (person === undefined) throw new Error('nobody');
    const seedOf = (id: Buffer): SealPlace => ({
      ...{ purpose: 'totp-seed', table: 'second_factor', column: 'sealed' },
      ...{ rowId: id, accountId: person.account.id },
    });
    const add = async (keys: KeyRing, id: Buffer) => {
      const sealed = new SealBox(keys).seal(seedOf(id), Buffer.from('12345678901234567890'));
      const factor = { id, account_id: person.account.id, kind: 'totp', sealed, created_at: 1 } as const;
      await insertFactor(bed.database, bed.guard, { ...factor, confirmed_at: 5 });
    };
    await take(0);
    // The other node still seals under the first key, which is then taken away by force.
    await add(at(1).keys, Buffer.alloc(16, 1));
    await removeKey(path, 'seal', 1);
    await take(0);
    await add(bed.keys, Buffer.alloc(16, 2));
    expect(await keyUses(bed.database, 'seal', 2)).toEqual([{ table: 'second_factor', rows: 1 }]);
    await addNewKeys(path, 'seal', 0);
    await activateNewKeys(path, 'seal');
    await take(0);
    expect(await keyUses(bed.database, 'seal', 2)).toEqual([]);
    expect(await keyUses(bed.database, 'seal', 3)).toEqual([{ table: 'second_factor', rows: 1 }]);
  });

  it('what is still under a key that must go ends through the feed', async () => {
    const { people, bed } = await rotated();
    const [first, second] = people;
    if (first === undefined || second === undefined) throw new Error('too few');
    await take(0);
    expect(outcomeOf(await bed.login(first.address, first.password))).toBe('verified');
    await bed.verifier.stop();
    const told: string[] = [];
    const record = async (_: unknown, { event }: { readonly event: { readonly action: string } }) => {
      told.push(event.action);
    };
    const parts = { ...bed, record, now: bed.clock.now };
    expect(await endUnderKey(parts, 'pepper', 1, 'pepper key 1 retired')).toEqual({
      ...{ appPasswords: 2, codes: 0, portalSessions: 0 },
    });
    expect(told).toEqual(['app-password.revoked', 'app-password.revoked']);
    expect(await keyUses(bed.database, 'pepper', 1)).toEqual([]);
    expect(outcomeOf(await bed.login(first.address, first.password))).toBe('verified');
    expect(outcomeOf(await bed.login(second.address, second.password))).toBe('revoked');
    expect(bed.revocations.voids((await only(bed, second.account)).id, second.account.id, 0)).toBe(true);
  });
});

async function only(bed: Bed, account: Account) {
  const [view] = await bed.appPasswords.list(account.id);
  if (view === undefined) throw new Error('none');
  return view;
}
