import { types } from 'node:util';

/**
 * One line of what was thrown, for a log field or a message to the operator; several errors joined by `; `.
 * By `isNativeError`, because an error from another realm is no `instanceof Error`.
 */
export function errorText(error: unknown): string {
  if (!types.isNativeError(error)) return String(error);
  // Every address of a name failed: the outer message is empty.
  if ('errors' in error && Array.isArray(error.errors) && error.errors.length > 0) {
    return error.errors.map(errorText).join('; ');
  }
  return error.message;
}

/** The system's code, such as `ENOENT`; null where there is none. */
export function errorCode(error: unknown): string | null {
  return types.isNativeError(error) && 'code' in error && typeof error.code === 'string' ? error.code : null;
}
