import type { Command } from 'commander';
import { parseDuration } from '../config/duration.ts';
import type { AppPasswordChange } from '../credentials/app-passwords.ts';
import { type Fence, noFence } from '../credentials/fence.ts';
import { isScope, type Scope } from '../credentials/scope.ts';
import { CommandFailure, type CommonOptions, exitCode } from './io.ts';

/** What an app password is good for, as it is typed; `create` and `update` take the same. */
export interface GrantOptions extends CommonOptions {
  readonly label?: string;
  readonly scope?: string;
  readonly network: readonly string[];
  readonly expires?: string;
  readonly expiresUnused?: string;
  readonly unusedAfter?: string;
  readonly sendFrom?: string;
  readonly sendTo?: string;
  readonly messagesPerHour?: string;
  readonly messagesPerDay?: string;
  readonly recipientsPerHour?: string;
  readonly recipientsPerDay?: string;
  readonly maxSize?: string;
  /** false: `--no-fence`. */
  readonly fence: boolean;
}

/** Lifts one limit. */
const none = 'none';

export function addGrantOptions(command: Command, scopes: string | undefined): Command {
  return command
    .option('--scope <list>', 'what it opens, of imap, smtp, pop3 and, for old devices, legacy-tls', scopes)
    .option(
      '--network <cidr>',
      'only from this network; give it several times for several, or none',
      collect,
      [],
    )
    .option('--expires <duration>', 'ends by itself, such as 12h or 90d; none: never')
    .option(
      '--expires-unused <duration>',
      'ends when it was not used for so long, such as 90d; none: it does not',
    )
    .option(
      '--unused-after <duration>',
      'ends unless it is used for the first time within, such as 24h; none: it does not',
    )
    .option('--send-from <list>', 'sends only as these addresses, or whole domains such as @example.com')
    .option('--send-to <list>', 'sends only to these domains')
    .option('--messages-per-hour <number>', 'sends no more than that; an option of this kind takes none too')
    .option('--messages-per-day <number>', 'sends no more than that')
    .option('--recipients-per-hour <number>', 'sends to no more than that')
    .option('--recipients-per-day <number>', 'sends to no more than that')
    .option('--max-size <bytes>', 'sends nothing larger, such as 500K or 10M')
    .option('--no-fence', 'sends whatever its account may, but for what else is given here');
}

/** The change that was typed, or a usage error; what was not mentioned is left out. */
export function changeOf(options: GrantOptions): AppPasswordChange {
  const fence = fenceOf(options);
  return {
    ...(options.label === undefined ? {} : { label: options.label }),
    ...(options.scope === undefined ? {} : { scopes: scopesOf(options.scope) }),
    ...(options.network.length === 0
      ? {}
      : { networks: options.network.filter((network) => network !== none) }),
    ...(options.expires === undefined ? {} : { expiresInMs: spanOf(options.expires, '--expires') }),
    ...(options.expiresUnused === undefined
      ? {}
      : { maxIdleMs: spanOf(options.expiresUnused, '--expires-unused') }),
    ...(options.unusedAfter === undefined
      ? {}
      : { unusedAfterMs: spanOf(options.unusedAfter, '--unused-after') }),
    ...(Object.keys(fence).length === 0 ? {} : { fence }),
  };
}

function collect(value: string, earlier: readonly string[]): readonly string[] {
  return [...earlier, value];
}

function listOf(text: string): readonly string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

function scopesOf(text: string): readonly Scope[] {
  return listOf(text).map((scope) => {
    if (isScope(scope)) return scope;
    throw usage(`--scope takes imap, smtp, pop3 and legacy-tls, not "${scope}".`);
  });
}

function spanOf(text: string, option: string): number | null {
  if (text === none) return null;
  const ms = parseDuration(text);
  if (Number.isNaN(ms)) throw usage(`${option} takes 30s, 15m, 12h or 90d, or none, not "${text}".`);
  return ms;
}

function fenceOf(options: GrantOptions): Partial<Fence> {
  const typed: readonly [keyof Fence, string, (text: string, option: string) => Fence[keyof Fence]][] = [
    ['from', 'sendFrom', listOf],
    ['recipientDomains', 'sendTo', listOf],
    ['messagesPerHour', 'messagesPerHour', countOf],
    ['messagesPerDay', 'messagesPerDay', countOf],
    ['recipientsPerHour', 'recipientsPerHour', countOf],
    ['recipientsPerDay', 'recipientsPerDay', countOf],
    ['maxBytes', 'maxSize', sizeOf],
  ];
  const set = typed.flatMap(([key, name, read]) => {
    const text = options[name as keyof GrantOptions];
    if (typeof text !== 'string') return [];
    const option = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    return [[key, text === none ? null : read(text, option)] as const];
  });
  return { ...(options.fence ? {} : noFence), ...Object.fromEntries(set) };
}

function countOf(text: string, option: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw usage(`${option} takes a number or none, not "${text}".`);
}

function sizeOf(text: string, option: string): number {
  const [, digits, unit = ''] = /^(\d{1,12})([KMG]?)$/i.exec(text) ?? [];
  if (digits === undefined) throw usage(`${option} takes bytes, 500K, 10M or 1G, or none, not "${text}".`);
  const factor = { '': 1, K: 1_024, M: 1_048_576, G: 1_073_741_824 }[unit.toUpperCase()] ?? Number.NaN;
  return Number(digits) * factor;
}

function usage(message: string): CommandFailure {
  return new CommandFailure(exitCode.usage, message);
}
