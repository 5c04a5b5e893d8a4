import type { KeyRing } from '../../src/credentials/key-file.ts';
import { KeyedRowGuard } from '../../src/credentials/keyed-row-guard.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { keyRing } from './keys.ts';

/** The guard of a gateway with these keys, whose alarms nobody hears. */
export function rowGuard(keys: KeyRing = keyRing()): KeyedRowGuard {
  return new KeyedRowGuard({ keys, metrics: createMetrics(), logger: null });
}
