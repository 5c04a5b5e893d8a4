import { randomUUID } from 'node:crypto';
import type { Config } from '../config/schema.ts';
import type { Secrets } from '../config/secrets.ts';
import { NoticeDelivery, type OwnMail } from '../credentials/notice-delivery.ts';
import { NoticeWriter } from '../credentials/notice-mail.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import { AccountMailer } from '../upstream/account-mailer.ts';
import { NoticeWebhook } from '../upstream/notice-webhook.ts';
import type { Upstreams } from '../upstream/upstreams.ts';
import type { Closers } from './closers.ts';
import type { Credentials } from './credentials.ts';

const codeMs = 20_000;

/** Starts what sends notices; answers what sends one-time codes. */
export function startNotices(
  given: {
    readonly config: Config;
    readonly secrets: Secrets;
    readonly logger: Logger;
    readonly metrics: Metrics;
    readonly now: () => number;
    readonly credentials: Pick<Credentials, 'database' | 'guard'>;
    readonly upstreams: Upstreams;
  },
  closers: Closers,
) {
  const { config, secrets, logger, metrics, now, upstreams } = given;
  const { database, guard } = given.credentials;
  const writer = new NoticeWriter({
    hostname: config.hostname,
    portalUrl: config.portal.publicUrl.href.replace(/\/$/, ''),
    defaultLanguage: config.portal.defaultLanguage,
    timeZone: config.portal.timeZone,
  });
  const mailer = new AccountMailer({
    upstreams,
    backendOf: (account) => config.domains[account.slice(account.lastIndexOf('@') + 1)]?.backend ?? null,
    hostname: config.hostname,
    from: config.notices.from,
  });
  const mail = async (message: OwnMail, signal: AbortSignal) => await mailer.send(message, signal);
  const delivery = new NoticeDelivery({
    ...{ database, guard, writer, logger, metrics, now },
    channels: { mail, webhook: webhookOf(config, secrets, now) },
  });
  // Also where notices are off: what was put down before goes out.
  delivery.start();
  closers.add(() => delivery.stop());

  return {
    /** Sends a one-time code at once, or answers false. */
    sendCode: async (account: string, to: string, language: string, code: string, until: number) => {
      const id = randomUUID();
      const written = { ...writer.code(language, code, until), account, to, id };
      const outcome = await mailer.send(written, AbortSignal.timeout(codeMs));
      if (outcome.kind === 'failed') {
        logger.warn({ event: 'email-code', detail: outcome.detail }, 'a one-time code was not sent');
      }
      return outcome.kind === 'sent';
    },
  };
}

function webhookOf({ notices }: Config, secrets: Secrets, now: () => number) {
  const { webhook } = notices;
  if (webhook === null || secrets.webhookSecret === null) return null;
  const ca = webhook.caFile === null ? null : (secrets.authorities.get(webhook.caFile) ?? null);
  const hook = new NoticeWebhook({ url: webhook.url, secret: secrets.webhookSecret, ca, now });
  return async (...[message, signal]: Parameters<NoticeWebhook['post']>) => await hook.post(message, signal);
}
