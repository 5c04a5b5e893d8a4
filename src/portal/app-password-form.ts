import { z } from 'zod';
import type { Config } from '../config/schema.ts';
import type { AppPasswordView } from '../credentials/app-passwords.ts';
import { type Fence, noFence } from '../credentials/fence.ts';
import type { Scope } from '../credentials/scope.ts';
import type { AppPasswordWish, WishProblem } from './actions/app-password-wish.ts';
import type { WishedEnd } from './actions/app-passwords.ts';
import type { Texts } from './locales/en.ts';
import type { Problem } from './views.ts';

const dayMs = 86_400_000;

/** What a form offers for the end, by the value of its field. */
const ends: Readonly<Record<string, WishedEnd>> = {
  never: { kind: 'never' },
  '30d': { kind: 'after', ms: 30 * dayMs },
  '90d': { kind: 'after', ms: 90 * dayMs },
  '365d': { kind: 'after', ms: 365 * dayMs },
  'unused-90d': { kind: 'unused-for', ms: 90 * dayMs },
  usual: { kind: 'usual' },
};

/** What a form holds, as text: shown again as it was typed. */
export interface FormValues {
  readonly scopes: readonly Scope[];
  /** Value of the field: one of those offered. */
  readonly end: string;
  readonly networks: string;
  readonly from: string;
  readonly recipientDomains: string;
  readonly messagesPerHour: string;
  readonly messagesPerDay: string;
}

/** The part of a page that asks what an app password may do. */
export interface OptionsForm extends FormValues {
  readonly offered: readonly Scope[];
  readonly ends: readonly { readonly value: string; readonly name: string }[];
  /** Where nothing can be sent there is nothing to fence. */
  readonly hasSending: boolean;
  /** *More options* holds something: a value or a problem. */
  readonly isOpen: boolean;
}

const checkbox = z.literal('on').optional();
const line = z.string().max(20).default('');
const lines = z.string().max(4_000).default('');

/** Fields of the form; a browser sends no unticked box, and older forms lack what is new. */
export const optionFields = {
  imap: checkbox,
  pop3: checkbox,
  smtp: checkbox,
  legacy_tls: checkbox,
  end: line,
  networks: lines,
  from: lines,
  recipient_domains: lines,
  messages_per_hour: line,
  messages_per_day: line,
};
/** The same as a body that comes from nobody in particular. */
export const optionBody = z.object(optionFields);

export function valuesOf(body: z.output<typeof optionBody>): FormValues {
  return {
    scopes: [
      ...(body.imap === 'on' ? (['imap'] as const) : []),
      ...(body.pop3 === 'on' ? (['pop3'] as const) : []),
      ...(body.smtp === 'on' ? (['smtp'] as const) : []),
      ...(body.legacy_tls === 'on' ? (['legacy-tls'] as const) : []),
    ],
    end: body.end,
    networks: body.networks,
    from: body.from,
    recipientDomains: body.recipient_domains,
    messagesPerHour: body.messages_per_hour,
    messagesPerDay: body.messages_per_day,
  };
}

/** Of a form nobody has touched. */
export function emptyValues(config: Pick<Config, 'appPasswords' | 'listen'>): FormValues {
  const offered = offeredScopes(config);
  return {
    scopes: offered.filter((scope) => scope === 'imap' || scope === 'smtp'),
    end: usualEnd(config),
    networks: '',
    from: '',
    recipientDomains: '',
    messagesPerHour: '',
    messagesPerDay: '',
  };
}

/** Of an app password as it is; null for a fence that this version does not understand. */
export function valuesOfView({ scopes, networks, fence }: AppPasswordView): FormValues | null {
  if (fence === null) return null;
  return {
    scopes,
    end: 'keep',
    networks: networks.join('\n'),
    from: fence.from?.join('\n') ?? '',
    recipientDomains: fence.recipientDomains?.join('\n') ?? '',
    messagesPerHour: fence.messagesPerHour?.toString() ?? '',
    messagesPerDay: fence.messagesPerDay?.toString() ?? '',
  };
}

/** `before`: limits that the form does not show stay. */
export function wishOf(label: string, values: FormValues, before: Fence = noFence): AppPasswordWish {
  return {
    label,
    scopes: values.scopes,
    networks: itemsOf(values.networks),
    fence: {
      ...before,
      from: namesOf(values.from),
      recipientDomains: namesOf(values.recipientDomains),
      messagesPerHour: numberOf(values.messagesPerHour),
      messagesPerDay: numberOf(values.messagesPerDay),
    },
  };
}

/** null: nothing was chosen, or that it stays as it is. An unknown value is what the operator has set. */
export function endOf({ end }: FormValues): WishedEnd | null {
  if (end === '' || end === 'keep') return null;
  return Object.hasOwn(ends, end) ? (ends[end] ?? { kind: 'usual' }) : { kind: 'usual' };
}

/** `own`: of the app password that is changed: its scopes, though nothing may listen for them now, and when it ends. */
export function optionsForm(
  config: Pick<Config, 'appPasswords' | 'listen'>,
  { create: t }: Texts,
  values: FormValues,
  problems: readonly Problem[],
  own: { readonly scopes: readonly Scope[]; readonly ends: string } | null,
): OptionsForm {
  const usual = usualEnd(config);
  const names = Object.keys(ends).filter((name) => name !== 'usual' || (usual === 'usual' && own === null));
  const offered = offeredScopes(config);
  const empty = emptyValues(config);
  const { networks, from, recipientDomains, messagesPerHour, messagesPerDay } = values;
  const end = values.end === '' ? (own === null ? empty.end : 'keep') : values.end;
  return {
    ...values,
    end,
    offered: [...offered, ...(own?.scopes ?? []).filter((scope) => !offered.includes(scope))],
    ends: [
      ...(own === null ? [] : [{ value: 'keep', name: t.ends.keep(own.ends) }]),
      ...names.map((value) => ({
        value,
        name:
          value === 'usual'
            ? t.ends.usual(Math.ceil((config.appPasswords.defaultExpiryMs ?? 0) / dayMs))
            : t.ends[value as Exclude<keyof typeof t.ends, 'keep' | 'usual'>],
      })),
    ],
    hasSending: offered.includes('smtp') || own?.scopes.includes('smtp') === true,
    isOpen:
      own !== null ||
      end !== empty.end ||
      [networks, from, recipientDomains, messagesPerHour, messagesPerDay].some(
        (text) => text.trim() !== '',
      ) ||
      problems.some(({ field }) => optionIds.has(field)),
  };
}

/** Ids of the fields under *More options*. */
const optionIds = new Set(['end-never', 'networks', 'from', 'recipients', 'per-hour', 'per-day']);

/** Each problem beside its field, in the language of the page. `label` is the id of the field that names it. */
export function problemTexts(
  problems: readonly WishProblem[],
  { create: t }: Texts,
  label: { readonly field: string; readonly most: number; readonly missing: string },
): readonly Problem[] {
  return problems.map((problem) => {
    switch (problem.field) {
      case 'label':
        return {
          field: label.field,
          text: problem.kind === 'missing' ? label.missing : t.badDevice(label.most),
        };
      case 'scopes':
        return { field: 'scope-0', text: t.noScope };
      case 'networks':
      case 'from':
      case 'recipientDomains': {
        const { id, bad } = listFields[problem.field];
        return {
          field: id,
          text: problem.kind === 'bad-entry' ? bad(t, shorten(problem.value)) : t.tooManyLines(problem.most),
        };
      }
      case 'messagesPerDay':
        return { field: 'per-day', text: t.badNumber };
      case 'messagesPerHour':
      case 'recipientsPerHour':
      case 'recipientsPerDay':
      case 'maxBytes':
        return { field: 'per-hour', text: t.badNumber };
      case 'fence':
        return { field: 'from', text: t.fenceTooLong };
      default:
        return problem satisfies never;
    }
  });
}

const listFields = {
  networks: { id: 'networks', bad: (t: Texts['create'], value: string) => t.badNetwork(value) },
  from: { id: 'from', bad: (t: Texts['create'], value: string) => t.badSender(value) },
  recipientDomains: { id: 'recipients', bad: (t: Texts['create'], value: string) => t.badDomain(value) },
} as const;

/** In the order people look for them. POP3 and old encryption only where something listens for them. */
function offeredScopes({ listen }: Pick<Config, 'listen'>): readonly Scope[] {
  const protocols = (['imap', 'pop3', 'smtp'] as const).filter((protocol) =>
    listen.some(({ door }) => door === protocol),
  );
  return listen.some(({ legacyTls }) => legacyTls) ? [...protocols, 'legacy-tls'] : protocols;
}

/** The offered end that is the operator's own; `usual` where none of the others is. */
function usualEnd({ appPasswords: { defaultExpiryMs } }: Pick<Config, 'appPasswords'>): string {
  if (defaultExpiryMs === null) return 'never';
  const same = Object.entries(ends).find(([, end]) => end.kind === 'after' && end.ms === defaultExpiryMs);
  return same?.[0] ?? 'usual';
}

function namesOf(text: string): readonly string[] | null {
  const items = itemsOf(text);
  return items.length === 0 ? null : items;
}

function itemsOf(text: string): readonly string[] {
  return text.split(/[\s,;]+/).filter((item) => item !== '');
}

function numberOf(text: string): number | null {
  const digits = text.trim();
  if (digits === '') return null;
  return /^\d{1,9}$/.test(digits) ? Number(digits) : Number.NaN;
}

function shorten(text: string): string {
  return text.length <= 60 ? text : `${text.slice(0, 60)}…`;
}
