import { errorCode } from '../observability/error-text.ts';

/** The store did not say anything, or its connection broke: whether a write was done is not known. */
export class StoreSilentError extends Error {
  override readonly name = 'StoreSilentError';
}

/** SQLSTATEs, and their classes by two letters, that say "not now" and not "not so" (PostgreSQL appendix A). */
const passing = [
  '08', // connection exception
  '25006', // read only: the server became a standby
  '25P03', // idle in a transaction for too long
  '28', // signing in refused: the password was changed
  '3D000', // no such database: one is being restored
  '40', // deadlock, serialization failure
  '53', // no memory, disk or connection left
  '55P03', // lock not available in time
  '57014', // statement timeout
  '57P', // shutting down, starting up
  '58', // an error of the system below
];

/** Whether the store cannot answer now: an outage that passes, and no fault of the program. */
export function isStoreOutage(error: unknown): boolean {
  if (error instanceof StoreSilentError) return true;
  const code = errorCode(error);
  // Another process kept its lock for too long.
  if (code?.startsWith('SQLITE_BUSY') === true) return true;
  return code !== null && /^[0-9A-Z]{5}$/.test(code) && passing.some((prefix) => code.startsWith(prefix));
}
