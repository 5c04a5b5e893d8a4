import { commandLine, utf8CommandLine } from './command-line.ts';
import type { MailOrder, RcptOrder } from './envelope.ts';
import type { Extensions } from './extensions.ts';

/** The MAIL or RCPT line for a server that listed `extensions`; it must list what {@link missingExtension} asks for. */
export function envelopeLine(order: MailOrder | RcptOrder, extensions: Extensions): Buffer {
  return order.kind === 'mail' ? mailLine(order, extensions) : rcptLine(order);
}

/** The extension that an order needs and the server does not list; null where nothing is missing. */
export function missingExtension(order: MailOrder | RcptOrder, extensions: Extensions): string | null {
  const needed: [string, boolean][] =
    order.kind === 'mail'
      ? [
          ['SMTPUTF8', order.smtpUtf8],
          ['DSN', order.ret !== null || order.envid !== null],
          ['8BITMIME', order.body === '8BITMIME'],
        ]
      : [['DSN', order.notify !== null || order.orcpt !== null]];
  return needed.find(([keyword, isNeeded]) => isNeeded && !extensions.has(keyword))?.[0] ?? null;
}

function mailLine(order: MailOrder, extensions: Extensions): Buffer {
  const words = [`MAIL FROM:<${order.path}>`];
  // Of SIZE the server's word is not needed: the message is counted here too.
  if (order.size !== null && extensions.has('SIZE')) words.push(`SIZE=${order.size}`);
  // Apple Mail sends 8-bit text without saying so (wire 95); declared, no server has a reason to strip it.
  if (extensions.has('8BITMIME')) words.push(`BODY=${order.body ?? '8BITMIME'}`);
  if (order.ret !== null) words.push(`RET=${order.ret}`);
  if (order.envid !== null) words.push(`ENVID=${order.envid}`);
  if (!order.smtpUtf8) return commandLine(words.join(' '));
  words.push('SMTPUTF8');
  return utf8CommandLine(words.join(' '));
}

function rcptLine(order: RcptOrder): Buffer {
  const words = [`RCPT TO:<${order.path}>`];
  if (order.notify !== null) words.push(`NOTIFY=${order.notify}`);
  if (order.orcpt !== null) words.push(`ORCPT=${order.orcpt}`);
  // Not ASCII only behind a MAIL with SMTPUTF8.
  return utf8CommandLine(words.join(' '));
}
