import { NoticeDelivery } from '../../src/credentials/notice-delivery.ts';
import { NoticeWriter } from '../../src/credentials/notice-mail.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { openStore } from '../store/open-store.ts';
import { rowGuard } from './row-guard.ts';

// Run as a process of its own: DATABASE NOW. Takes what is due and is killed with SIGKILL before any of it is sent.
const [at = '', now = '0'] = process.argv.slice(2);
const delivery = new NoticeDelivery({
  database: openStore(at),
  guard: rowGuard(),
  writer: new NoticeWriter({ hostname: 'a', portalUrl: 'b', defaultLanguage: 'en', timeZone: 'UTC' }),
  channels: {
    mail: async () => {
      process.kill(process.pid, 'SIGKILL');
      return { kind: 'failed', detail: 'still alive' };
    },
    webhook: null,
  },
  logger: createLogger('error'),
  metrics: createMetrics(),
  now: () => Number(now),
});
await delivery.deliverDue();
throw new Error('still alive');
