import { createTransport, type MailMessage, type SentMessageInfo, type Transport } from 'nodemailer';
import type { OwnMail, SendOutcome } from '../credentials/notice-delivery.ts';
import { errorText } from '../observability/error-text.ts';
import { describeReply } from '../protocol/smtp/reply.ts';
import { openOwnSubmission } from './submission.ts';
import type { SubmissionLink } from './submission-link.ts';
import type { SubmissionTimes } from './submission-times.ts';
import type { Upstream, Upstreams } from './upstreams.ts';

/** Nobody waits for it but the next notice; the caller's signal ends all of it. */
const times: SubmissionTimes = { openMs: 20_000, commandMs: 20_000, finalMs: 40_000 };

/** Sends the gateway's own mails through the backend of the account they are about, logged in there on its behalf. */
export class AccountMailer {
  readonly #upstreams: Upstreams;
  readonly #backendOf: (account: string) => string | null;
  readonly #hostname: string;
  readonly #from: string | null;

  constructor(parts: {
    readonly upstreams: Upstreams;
    /** null for an account of no configured domain. */
    readonly backendOf: (account: string) => string | null;
    readonly hostname: string;
    /** null: the account itself. */
    readonly from: string | null;
  }) {
    this.#upstreams = parts.upstreams;
    this.#backendOf = parts.backendOf;
    this.#hostname = parts.hostname;
    this.#from = parts.from;
  }

  /** Never rejects. After a failure at the very end the backend may have it all the same. */
  async send(mail: OwnMail, signal: AbortSignal): Promise<SendOutcome> {
    const upstream = this.#upstreams.get(this.#backendOf(mail.account) ?? '');
    if (upstream === undefined) return { kind: 'failed', detail: 'the account is of no configured domain' };
    const transport = new BackendTransport({
      upstream,
      account: mail.account,
      hostname: this.#hostname,
      signal,
    });
    const from = this.#from ?? mail.account;
    try {
      await createTransport(transport).sendMail({
        from: { name: mail.sender, address: from },
        to: { name: '', address: mail.to },
        subject: mail.subject,
        text: mail.text,
        textEncoding: 'quoted-printable',
        messageId: `<${mail.id}@${this.#hostname}>`,
        // RFC 3834 5: nobody's vacation answers it; Exchange has a header of its own for that.
        headers: {
          'Auto-Submitted': 'auto-generated',
          'X-Auto-Response-Suppress': 'All',
          'Content-Language': mail.language,
        },
        xMailer: false,
        disableFileAccess: true,
        disableUrlAccess: true,
      });
      return { kind: 'sent' };
    } catch (error) {
      return { kind: 'failed', detail: errorText(error) };
    }
  }
}

/** Makes nodemailer speak over a connection that the dialer opened: verified, and never to this gateway itself (S-44, S-51). */
class BackendTransport implements Transport {
  readonly name = 'Sallyport';
  readonly version = '1';
  readonly #upstream: Upstream;
  readonly #account: string;
  readonly #hostname: string;
  readonly #signal: AbortSignal;

  constructor(parts: {
    readonly upstream: Upstream;
    readonly account: string;
    readonly hostname: string;
    readonly signal: AbortSignal;
  }) {
    this.#upstream = parts.upstream;
    this.#account = parts.account;
    this.#hostname = parts.hostname;
    this.#signal = parts.signal;
  }

  send(mail: MailMessage, done: (error: Error | null, info: SentMessageInfo) => void): void {
    const { message } = mail;
    const envelope = message.getEnvelope();
    const info = { envelope, messageId: message.messageId() };
    message
      .build()
      .then(async (content) => this.#transmit(envelope.from || '', envelope.to, content))
      .then(
        () => done(null, info),
        (error: unknown) => done(error instanceof Error ? error : new Error(errorText(error)), info),
      );
  }

  async #transmit(from: string, to: readonly string[], content: Buffer): Promise<void> {
    const link = await this.#open();
    const giveUp = () => link.cut();
    this.#signal.addEventListener('abort', giveUp, { once: true });
    try {
      await submit(link, from, to, asSent(content));
      link.quit();
    } finally {
      this.#signal.removeEventListener('abort', giveUp);
      if (!link.isOver) link.cut();
    }
  }

  async #open(): Promise<SubmissionLink> {
    const attempt = async (signal: AbortSignal) => {
      const link = await openOwnSubmission(this.#upstream, this.#account, {
        hostname: this.#hostname,
        signal,
        times,
      });
      return { kind: 'open', link } as const;
    };
    const route = this.#upstream.routes?.smtp;
    if (route === undefined) return (await attempt(this.#signal)).link;
    const opening = await route.open(this.#account, this.#signal, attempt);
    if (opening.kind === 'open') return opening.link;
    throw new Error(`the backend turned the mailbox away: ${opening.text}`);
  }
}

async function submit(
  link: SubmissionLink,
  from: string,
  to: readonly string[],
  content: Buffer,
): Promise<void> {
  // Else an address could end its own brackets and go on as parameters (S-10).
  if ([from, ...to].some((address) => /[<>\s\x00-\x1f\x7f]/.test(address))) {
    throw new Error('an address that SMTP cannot say');
  }
  const smtpUtf8 = [from, ...to].some((address) => /[^\x00-\x7f]/.test(address));
  if (smtpUtf8 && !link.extensions.has('SMTPUTF8')) throw new Error('the backend takes no such address');
  const plain = { size: content.length, body: null, ret: null, envid: null };
  expect(await link.envelope({ kind: 'mail', path: from, smtpUtf8, ...plain }), 2);
  for (const path of to) {
    expect(await link.envelope({ kind: 'rcpt', path, notify: null, orcpt: null }), 2);
  }
  expect(await link.data(), 3);
  const early = link.write(content);
  if (early !== null) expect(early, 2);
  expect(await link.finish(), 2);
}

function expect(reply: Parameters<typeof describeReply>[0], first: 2 | 3): void {
  if (Math.floor(reply.code / 100) !== first) throw new Error(`the backend said ${describeReply(reply)}`);
}

/** Lines end in CRLF, the last one too, and a dot at the start of one is doubled (RFC 5321 4.5.2). */
function asSent(content: Buffer): Buffer {
  const lines = content
    .toString('latin1')
    .replace(/\r\n|\r|\n/g, '\r\n')
    .replace(/^\./gm, '..');
  return Buffer.from(lines.endsWith('\r\n') ? lines : `${lines}\r\n`, 'latin1');
}
