import { printable } from '../observability/logger.ts';
import { Dialogue } from './dialogue.ts';
import type { Leg } from './leg.ts';
import { UpstreamError } from './upstream-error.ts';
import type { Upstream } from './upstreams.ts';

/** What an operator should know of a backend; an `answer` is as it should be. */
export interface ProbeFinding {
  readonly level: 'problem' | 'warning' | 'answer';
  readonly text: string;
}

export interface ProbeOptions {
  /** What the gateway calls itself. */
  readonly hostname: string;
  /** Domains the site is responsible for. */
  readonly domains: readonly string[];
  readonly signal: AbortSignal;
}

/**
 * Asks one leg of a backend what it offers to somebody who is not logged in. No credential is sent and no message is
 * begun. Rejects with {@link UpstreamError} where it cannot be reached or speaks another protocol.
 */
export async function probe(
  upstream: Upstream,
  leg: Leg,
  options: ProbeOptions,
): Promise<readonly ProbeFinding[]> {
  const dialogue = await Dialogue.open(upstream, leg, options.signal);
  try {
    const greeting = await dialogue.line();
    if (!greetings[leg].test(greeting)) {
      const what = `answered ${JSON.stringify(printable(greeting))}, which is no ${leg} greeting`;
      throw new UpstreamError(upstream.backend.name, 'greeting', what);
    }
    // RFC 5321 4.2: it may go on for some lines.
    if (leg === 'smtp' && greeting.startsWith('220-'))
      await dialogue.linesUntil((line) => !line.startsWith('220-'));
    const findings = await questions[leg](dialogue, options);
    return [{ level: 'answer', text: printable(greeting) }, ...findings];
  } finally {
    dialogue.close();
  }
}

const greetings: Readonly<Record<Leg, RegExp>> = { imap: /^\* OK /i, smtp: /^220[ -]/, pop3: /^\+OK/ };

type Question = (dialogue: Dialogue, options: ProbeOptions) => Promise<readonly ProbeFinding[]>;

const questions: Readonly<Record<Leg, Question>> = { imap: askImap, smtp: askSmtp, pop3: askPop3 };

async function askImap(dialogue: Dialogue): Promise<readonly ProbeFinding[]> {
  const ask = async (tag: string, command: string) => {
    dialogue.say(`${tag} ${command}`);
    return await dialogue.linesUntil((line) => line.startsWith(`${tag} `));
  };
  if (dialogue.isToBeSecured) {
    const agreed = (await ask('S', 'STARTTLS')).at(-1) ?? '';
    if (!/^S OK\b/i.test(agreed)) return [refusesTls(agreed)];
    await dialogue.secure();
  }
  const lines = await ask('C', 'CAPABILITY');
  const listed = lines.find((line) => /^\* CAPABILITY /i.test(line)) ?? '';
  const capabilities = listed.toUpperCase().split(' ');
  const findings: ProbeFinding[] = [];
  for (const hole of ['UNAUTHENTICATE', 'PROXYAUTH']) {
    // S-48: the login of each person is refused too, whatever the list before it says.
    if (capabilities.includes(hole)) {
      findings.push({
        level: 'problem',
        text: `offers ${hole}, with which a client could log in at the backend itself: disable it there`,
      });
    }
  }
  if (!capabilities.includes('AUTH=PLAIN')) findings.push(offersNoPlain);
  return findings;
}

async function askSmtp(dialogue: Dialogue, options: ProbeOptions): Promise<readonly ProbeFinding[]> {
  const reply = async () => await dialogue.linesUntil((line) => /^\d{3}(?: |$)/.test(line));
  const ask = async (command: string) => {
    dialogue.say(command);
    return await reply();
  };
  let extensions = await ask(`EHLO ${options.hostname}`);
  if (dialogue.isToBeSecured) {
    const agreed = (await ask('STARTTLS')).at(-1) ?? '';
    if (!agreed.startsWith('220')) return [refusesTls(agreed)];
    await dialogue.secure();
    extensions = await ask(`EHLO ${options.hostname}`);
  }
  const findings: ProbeFinding[] = [];
  const offersPlain = extensions.some((line) => /^\d{3}[ -]AUTH[ =](?:.* )?PLAIN(?: |$)/i.test(line));
  if (!offersPlain) findings.push(offersNoPlain);
  const [own = options.hostname] = options.domains;
  const mail = (await ask(`MAIL FROM:<postmaster@${own}>`)).at(-1) ?? '';
  if (!mail.startsWith('2')) {
    return [...findings, { level: 'answer', text: `refuses MAIL without AUTH: ${printable(mail)}` }];
  }
  // RFC 2606: nobody has a mailbox there, and no DATA follows.
  const foreign = ['example.org', 'example.net'].find((domain) => !options.domains.includes(domain));
  const rcpt = (await ask(`RCPT TO:<postmaster@${foreign ?? 'example.com'}>`)).at(-1) ?? '';
  findings.push(relayFinding(rcpt));
  await ask('RSET');
  dialogue.say('QUIT');
  return findings;
}

/** S-49: what trusts the gateway's address trusts whoever gets a connection from it. */
function relayFinding(rcpt: string): ProbeFinding {
  if (rcpt.startsWith('2')) {
    return {
      level: 'warning',
      text: "relays to any domain without AUTH from this machine's address: take it out of the backend's trusted networks",
    };
  }
  return rcpt.startsWith('5')
    ? { level: 'answer', text: `refuses RCPT to a foreign domain without AUTH: ${printable(rcpt)}` }
    : { level: 'warning', text: `does not tell whether it relays without AUTH: ${printable(rcpt)}` };
}

async function askPop3(dialogue: Dialogue): Promise<readonly ProbeFinding[]> {
  if (dialogue.isToBeSecured) {
    dialogue.say('STLS');
    const agreed = await dialogue.line();
    if (!agreed.startsWith('+OK')) return [refusesTls(agreed)];
    await dialogue.secure();
  }
  dialogue.say('CAPA');
  const [first = ''] = await dialogue.linesUntil(() => true);
  const lines = first.startsWith('+OK') ? await dialogue.linesUntil((line) => line === '.') : [];
  dialogue.say('QUIT');
  return lines.some((line) => /^SASL (?:.* )?PLAIN(?: |$)/i.test(line)) ? [] : [offersNoPlain];
}

const offersNoPlain: ProbeFinding = {
  level: 'warning',
  text: 'does not offer the mechanism PLAIN, with which the gateway logs in',
};

function refusesTls(answer: string): ProbeFinding {
  return { level: 'problem', text: `refuses to begin TLS: ${printable(answer)}` };
}
