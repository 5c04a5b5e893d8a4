import type { Database } from './database.ts';

/** Rows under one key. Not those that end by themselves within minutes: codes and sign-ins that are under way. */
export interface KeyUses {
  readonly table: string;
  readonly rows: number;
}

/** What would be lost with a key; empty for one that nothing needs any more. */
export async function keyUses(
  database: Database,
  family: 'pepper' | 'mac' | 'seal',
  id: number,
): Promise<readonly KeyUses[]> {
  switch (family) {
    case 'pepper':
      return await pepperUses(database, id);
    case 'mac':
      return await macUses(database, id);
    case 'seal':
      return await sealUses(database, id);
    default:
      return family satisfies never;
  }
}

/** Rows whose hash needs this pepper: revoked app passwords need it no more. */
async function pepperUses(database: Database, id: number): Promise<readonly KeyUses[]> {
  const appPasswords = await database
    .selectFrom('app_password')
    .select((select) => select.fn.countAll<Count>().as('rows'))
    .where('pepper_version', '=', id)
    .where('state', '!=', 'revoked')
    .executeTakeFirstOrThrow();
  const recovery = await database
    .selectFrom('recovery_code')
    .select((select) => select.fn.countAll<Count>().as('rows'))
    .where('pepper_version', '=', id)
    .executeTakeFirstOrThrow();
  const enrollment = await database
    .selectFrom('enrollment_code')
    .select((select) => select.fn.countAll<Count>().as('rows'))
    .where('pepper_version', '=', id)
    .executeTakeFirstOrThrow();
  return usesOf({ app_password: appPasswords, recovery_code: recovery, enrollment_code: enrollment });
}

const marked = [
  'account',
  'app_password',
  'second_factor',
  'portal_session',
  'recovery_code',
  'enrollment_code',
  'identity_link',
  'notice',
  'notice_delivery',
] as const;

/** Rows whose MAC is under this key. */
async function macUses(database: Database, id: number): Promise<readonly KeyUses[]> {
  const counts: Record<string, { readonly rows: Count }> = {};
  for (const table of marked) {
    counts[table] = await database
      .selectFrom(table)
      .select((select) => select.fn.countAll<Count>().as('rows'))
      .where('row_mac', '>=', macPrefix(id))
      .where('row_mac', '<', macPrefix(id + 1))
      .executeTakeFirstOrThrow();
  }
  return usesOf(counts);
}

/** Chains of the audit trail that nobody can check any more without this mac key. They never move: it is what they are under. */
export async function auditChainsUnder(database: Database, id: number): Promise<number> {
  const { rows } = await database
    .selectFrom('audit_chain')
    .select((select) => select.fn.countAll<Count>().as('rows'))
    .where('mac_key', '=', id)
    .executeTakeFirstOrThrow();
  return Number(rows);
}

/** Rows with something sealed under this key. */
async function sealUses(database: Database, id: number): Promise<readonly KeyUses[]> {
  const seeds = await database
    .selectFrom('second_factor')
    .select((select) => select.fn.countAll<Count>().as('rows'))
    .where((where) =>
      where(where.fn<string>('substr', ['sealed', where.val(1), where.val(7)]), 'in', sealPrefixes(id)),
    )
    .executeTakeFirstOrThrow();
  return usesOf({ second_factor: seeds });
}

/** How a MAC column begins (credentials/versioned-mac.ts). */
export function macPrefix(id: number): Buffer {
  const prefix = Buffer.alloc(4);
  prefix.writeUInt32BE(Math.min(id, 0xffff_ffff));
  return prefix;
}

/** How a sealed value begins (credentials/seal.ts): five bytes are six letters and two thirds of the seventh. */
function sealPrefixes(id: number): readonly string[] {
  const head = Buffer.alloc(6);
  head.writeUInt8(1);
  head.writeUInt32BE(id, 1);
  return [0, 1, 2, 3].map((rest) => {
    head.writeUInt8(rest << 6, 5);
    return head.toString('base64url').slice(0, 7);
  });
}

type Count = number | bigint | string;

function usesOf(counts: Readonly<Record<string, { readonly rows: Count }>>): readonly KeyUses[] {
  return Object.entries(counts)
    .map(([table, { rows }]) => ({ table, rows: Number(rows) }))
    .filter(({ rows }) => rows > 0);
}
