import { createSecureContext } from 'node:tls';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { VerifiedLogin } from '../../src/credentials/verifier.ts';
import { Secret } from '../../src/secret.ts';
import { openSubmission } from '../../src/upstream/submission.ts';
import type { SubmissionLink } from '../../src/upstream/submission-link.ts';
import type { SubmissionTimes } from '../../src/upstream/submission-times.ts';
import { UpstreamError } from '../../src/upstream/upstream-error.ts';
import type { Upstream } from '../../src/upstream/upstreams.ts';
import { openBed } from '../credentials/bed.ts';
import { mailOrder, rcptOrder } from '../protocol/smtp/dialogue.ts';
import { testCertificates, until } from './smtp-bed.ts';
import { Sink, type SinkAnswer } from './smtp-sink.ts';

const times: SubmissionTimes = { openMs: 5_000, commandMs: 5_000, finalMs: 5_000 };
const peer = {
  address: '203.0.113.7',
  port: 51_234,
  localAddress: '198.51.100.1',
  localPort: 465,
  sessionId: 'k3',
  helo: { name: 'laptop', isExtended: true },
};
const closers: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

interface Options {
  readonly tls?: 'implicit' | 'starttls' | 'none';
  readonly serverName?: string;
  readonly trusted?: boolean;
  readonly times?: Partial<SubmissionTimes>;
  readonly answers?: Readonly<Record<string, SinkAnswer>>;
  readonly signal?: AbortSignal;
}

async function backend(options: Options = {}) {
  const { ca, cert, key } = await testCertificates();
  const tls = options.tls ?? 'none';
  const sink = new Sink(tls === 'none' ? null : { mode: tls, cert, key });
  if (tls === 'starttls') sink.extensions = [...sink.extensions, 'STARTTLS'];
  sink.answer = (command) => options.answers?.[command.split(' ')[0] ?? ''] ?? null;
  const port = await sink.listen();
  closers.push(() => sink.close());
  const endpoint = {
    host: '127.0.0.1',
    port,
    tls,
    caFile: null,
    serverName: options.serverName ?? 'mail.example.com',
  };
  const context = createSecureContext(options.trusted === false ? {} : { ca });
  const upstream: Upstream = {
    backend: {
      name: 'office',
      imap: endpoint,
      smtp: endpoint,
      pop3: null,
      login: { method: 'master', user: 'gateway' },
      forward: { imapId: false, xclient: false, proxyProtocol: 'none' },
      denyUsers: [],
    },
    password: Secret.fromText('master-password'),
    imapTls: context,
    smtpTls: context,
    pop3Tls: null,
  };
  const login = await verifiedLogin();
  const open = () =>
    openSubmission(upstream, login, {
      hostname: 'gw.example',
      peer,
      signal: options.signal ?? new AbortController().signal,
      times: { ...times, ...options.times },
    });
  return { sink, upstream, open };
}

async function verifiedLogin(): Promise<VerifiedLogin> {
  const bed = await openBed();
  closers.push(() => bed.close());
  const { password } = await bed.issue(await bed.account('alice@example.com'));
  const verdict = await bed.login('alice', password, { protocol: 'smtp' });
  if (verdict.kind !== 'verified') throw new Error(verdict.kind);
  return verdict.login;
}

/** Why it failed: kind of the UpstreamError. */
async function failure(doing: Promise<unknown>): Promise<string> {
  try {
    await doing;
    return 'nothing';
  } catch (error) {
    return error instanceof UpstreamError ? error.kind : String(error);
  }
}

async function sendOne(link: SubmissionLink): Promise<number> {
  await link.envelope(mailOrder('alice@example.com'));
  await link.envelope(rcptOrder('bob@example.com'));
  await link.data();
  link.write(Buffer.from('x\r\n'));
  return (await link.finish()).code;
}

describe('the way to the backend', () => {
  it.each(['none', 'implicit', 'starttls'] as const)('goes over TLS %s', async (tls) => {
    const { sink, open } = await backend({ tls });
    const link = await open();
    expect(await sendOne(link)).toBe(250);
    expect(sink.messages).toHaveLength(1);
    link.quit();
    await until(() => sink.open === 0, 'closed');
  });

  it.each(['implicit', 'starttls'] as const)(
    'sends no credential where the certificate is wrong: %s (S-44)',
    async (tls) => {
      for (const wrong of [{ serverName: 'other.example.com' }, { trusted: false }]) {
        const { sink, open } = await backend({ tls, ...wrong });
        expect(await failure(open())).toBe('tls');
        expect(sink.authzids).toEqual([]);
        await until(() => sink.open === 0, 'closed');
      }
    },
  );

  it('opens for nobody but a verified login (S-14)', async () => {
    const { sink, upstream } = await backend();
    const forged = { address: 'alice@example.com', backend: 'office' } as VerifiedLogin;
    const opening = openSubmission(upstream, forged, {
      hostname: 'gw.example',
      peer,
      signal: new AbortController().signal,
    });
    await expect(opening).rejects.toThrow(TypeError);
    expect(sink.sessions).toHaveLength(0);
  });

  it.each([
    ['CONNECT', '554 5.7.1 no', 'greeting'],
    ['CONNECT', 'cut', 'closed'],
    ['CONNECT', 'nothing', 'timeout'],
    ['EHLO', '502 what', 'greeting'],
    ['EHLO', 'nothing', 'timeout'],
    ['AUTH', '535 5.7.8 no', 'refused-us'],
    ['AUTH', '421 4.3.2 not now', 'protocol'],
    ['AUTH', 'cut', 'closed'],
    ['AUTH', 'nothing', 'timeout'],
  ])('fails at %s answered %s: %s', async (command, answer, kind) => {
    const { sink, open } = await backend({ times: { openMs: 250 }, answers: { [command]: answer } });
    expect(await failure(open())).toBe(kind);
    await until(() => sink.open === 0, 'closed');
  });

  it('is given up with its caller', async () => {
    const caller = new AbortController();
    const { sink, open } = await backend({ answers: { AUTH: 'nothing' }, signal: caller.signal });
    const opening = failure(open());
    await until(() => sink.authzids.length === 1, 'AUTH at the backend');
    caller.abort();
    expect(await opening).toBe('closed');
    await until(() => sink.open === 0, 'closed');
  });
});

describe('an open connection', () => {
  it('does not wait for ever (wire 90)', async () => {
    const silent = await backend({ times: { commandMs: 250 }, answers: { RSET: 'nothing' } });
    expect(await failure((await silent.open()).reset())).toBe('timeout');
    const thinking = await backend({ times: { finalMs: 250 }, answers: { MESSAGE: 'nothing' } });
    expect(await failure(sendOne(await thinking.open()))).toBe('timeout');
    await until(() => silent.sink.open + thinking.sink.open === 0, 'closed');
  });

  it('gives up a backend that reads no more', async () => {
    const { sink, open } = await backend({ times: { commandMs: 400 } });
    const link = await open();
    await link.envelope(mailOrder('alice@example.com'));
    await link.envelope(rcptOrder('bob@example.com'));
    await link.data();
    sink.sessions[0]?.socket.pause();
    const chunk = Buffer.from('a line\r\n'.repeat(8_000));
    const pour = async () => {
      for (;;) {
        link.write(chunk);
        await link.room();
      }
    };
    expect(await failure(pour())).toBe('timeout');
    expect(link.isOver).toBe(true);
  });

  it('keeps a refusal that came before the end of data', async () => {
    const { sink, open } = await backend();
    const link = await open();
    await link.envelope(mailOrder('alice@example.com'));
    await link.envelope(rcptOrder('bob@example.com'));
    await link.data();
    sink.sessions[0]?.socket.write('552 5.3.4 enough\r\n');
    await until(() => link.isOver, 'refusal read');
    expect((await link.finish()).code).toBe(552);
  });

  it('that was cut takes nothing more', async () => {
    const { open } = await backend();
    const link = await open();
    link.cut();
    expect(link.isOver).toBe(true);
    expect(await failure(link.reset())).toBe('closed');
    expect(await failure((async () => link.write(Buffer.from('x')))())).toBe('closed');
    link.quit();
  });
});
