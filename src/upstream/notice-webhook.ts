import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { deriveKey, keyedHash } from '../credentials/derive.ts';
import type { NoticeMessage, SendOutcome } from '../credentials/notice-delivery.ts';
import { errorText } from '../observability/error-text.ts';
import type { Secret } from '../secret.ts';

/** S-51 */
const timeMs = 10_000;

/** Posts notices to the operator's HTTPS address, signed: a way that who reads the mailbox cannot close (S-83). */
export class NoticeWebhook {
  readonly #url: URL;
  readonly #key: Buffer;
  readonly #ca: Buffer | null;
  readonly #now: () => number;

  constructor(parts: {
    readonly url: URL;
    readonly secret: Secret;
    /** null: the authorities that the system trusts. */
    readonly ca: Buffer | null;
    readonly now: () => number;
  }) {
    this.#url = parts.url;
    this.#key = deriveKey(parts.secret.bytes(), 'sallyport/v1/notice-webhook');
    this.#ca = parts.ca;
    this.#now = parts.now;
  }

  /** Never rejects. */
  async post(message: NoticeMessage, signal: AbortSignal): Promise<SendOutcome> {
    const body = Buffer.from(JSON.stringify({ version: 1, ...message }), 'utf8');
    const time = String(Math.floor(this.#now() / 1_000));
    const signature = keyedHash(this.#key, Buffer.from(`${time}.`), body).toString('hex');
    const sending = request(this.#url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'content-length': body.length,
        'user-agent': 'Sallyport',
        'sallyport-signature': `t=${time},v1=${signature}`,
      },
      agent: false,
      minVersion: 'TLSv1.2',
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeMs)]),
      ...(this.#ca === null ? {} : { ca: this.#ca }),
    });
    // What comes behind the answer, or instead of it, is nobody's any more.
    sending.on('error', () => {});
    try {
      sending.end(body);
      const [answer] = (await once(sending, 'response')) as [IncomingMessage];
      const status = answer.statusCode ?? 0;
      // Its text is of no interest, however long: nothing of it is read.
      answer.on('error', () => {});
      if (status >= 200 && status < 300) return { kind: 'sent' };
      const why = status >= 300 && status < 400 ? ', and redirects are not followed' : '';
      return { kind: 'failed', detail: `the webhook answered ${status}${why}` };
    } catch (error) {
      return { kind: 'failed', detail: `the webhook: ${errorText(error)}` };
    } finally {
      sending.destroy();
    }
  }
}
