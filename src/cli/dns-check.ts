import type { Resolver } from 'node:dns/promises';
import { errorCode } from '../observability/error-text.ts';
import { printable } from '../observability/logger.ts';
import type { SetupRecord } from '../portal/client-setup/srv-records.ts';

/** What was found in place of a record. */
export interface RecordFinding {
  readonly isGood: boolean;
  /** One line for the operator. */
  readonly said: string;
}

type Looker = Pick<Resolver, 'resolve4' | 'resolve6' | 'resolveCname' | 'resolveSrv'>;

/** Looks one record up. Never rejects: a name server that does not answer is a finding. */
export async function checkRecord(record: SetupRecord, resolver: Looker): Promise<RecordFinding> {
  try {
    return record.type === 'CNAME' ? await checkName(record, resolver) : await checkService(record, resolver);
  } catch (error) {
    return { isGood: false, said: `could not be looked up: ${errorCode(error) ?? 'no answer'}` };
  }
}

/** An address record does as well as a CNAME, where it is the same host's. */
async function checkName(
  { name, target }: SetupRecord & { type: 'CNAME' },
  resolver: Looker,
): Promise<RecordFinding> {
  const [alias] = await answersOf(resolver.resolveCname(name));
  if (alias !== undefined) {
    return alias.toLowerCase() === target ? good('found') : bad(`different: CNAME ${printable(alias)}.`);
  }
  const own = await addressesOf(name, resolver);
  if (own.length === 0) return bad('missing');
  const wanted = await addressesOf(target, resolver);
  return own.some((address) => wanted.includes(address))
    ? good(`found: the addresses of ${target}`)
    : bad(`different: ${own.join(', ')}`);
}

async function checkService(record: SetupRecord & { type: 'SRV' }, resolver: Looker): Promise<RecordFinding> {
  const found = await answersOf(resolver.resolveSrv(record.name));
  const isWithdrawn = record.target === '.';
  // Saying nothing says the same, only less clearly.
  if (found.length === 0) return isWithdrawn ? good('missing, which does no harm') : bad('missing');
  const target = isWithdrawn ? '' : record.target;
  const isThere = found.some(
    (each) =>
      each.name.toLowerCase().replace(/\.$/, '') === target && (isWithdrawn || each.port === record.port),
  );
  const others = found.map(({ priority, weight, port, name }) =>
    printable(`${priority} ${weight} ${port} ${name}.`),
  );
  if (!isThere) return bad(`different: SRV ${others.join(', ')}`);
  return found.length === 1 ? good('found') : bad(`found, but not alone: SRV ${others.join(', ')}`);
}

async function addressesOf(name: string, resolver: Looker): Promise<readonly string[]> {
  return [...(await answersOf(resolver.resolve4(name))), ...(await answersOf(resolver.resolve6(name)))];
}

/** Empty where the name server says that there is none; rejects where it says nothing. */
async function answersOf<T>(answers: Promise<T[]>): Promise<readonly T[]> {
  try {
    return await answers;
  } catch (error) {
    if (['ENODATA', 'ENOTFOUND'].includes(errorCode(error) ?? '')) return [];
    throw error;
  }
}

function good(said: string): RecordFinding {
  return { isGood: true, said };
}

function bad(said: string): RecordFinding {
  return { isGood: false, said };
}
