import { z } from 'zod';
import { describeAppPassword, isoOf } from '../../credentials/app-password-json.ts';
import type { AppPasswordView } from '../../credentials/app-passwords.ts';
import type { NodeSession } from '../../credentials/session-directory.ts';
import type { FactorView } from '../../identity/second-factor/factors.ts';
import type { LoginEventRow } from '../../store/schema.ts';

// What the API tells of things, field by field; nothing else leaves (route.ts). Names are those of `--json`.

export const time = z.string().meta({ format: 'date-time' });
export const hexId = z.string().regex(/^[0-9a-f]{32}$/);
export const scope = z.enum(['imap', 'pop3', 'smtp', 'legacy-tls']);
const count = z.int().nullable();

export const fence = z.object({
  from: z.array(z.string()).nullable(),
  recipientDomains: z.array(z.string()).nullable(),
  messagesPerHour: count,
  messagesPerDay: count,
  recipientsPerHour: count,
  recipientsPerDay: count,
  maxBytes: count,
});

export const appPasswordShape = z.object({
  id: hexId,
  label: z.string(),
  state: z.enum(['active', 'paused', 'revoked', 'expired']),
  scopes: z.array(scope),
  /** Empty: from everywhere. */
  networks: z.array(z.string()),
  /** null: written by a newer version, and lets nobody in here. */
  fence: fence.nullable(),
  expiresAt: time.nullable(),
  /** Ends when it was not used for so long. */
  maxIdleSeconds: z.int().nullable(),
  firstUseBy: time.nullable(),
  /** By any of the three, if it is not used from now on. */
  endsAt: time.nullable(),
  createdAt: time,
  createdBy: z.string(),
  lastUsedAt: time.nullable(),
  lastUsedAddress: z.string().nullable(),
  lastUsedProtocol: z.string().nullable(),
  /** What a program called itself: a stranger's text. */
  lastUsedClient: z.string().nullable(),
});

export function appPasswordOf(view: AppPasswordView): z.input<typeof appPasswordShape> {
  return {
    ...describeAppPassword(view),
    maxIdleSeconds: view.maxIdleMs === null ? null : Math.round(view.maxIdleMs / 1_000),
  };
}

/** A device that goes on sending what has ended. */
export const staleShape = z.object({
  credential: hexId,
  label: z.string(),
  endedAt: time,
  times: z.int(),
  firstAt: time,
  lastAt: time,
  protocol: z.string(),
  address: z.string(),
  client: z.string().nullable(),
});

/** Sign-ins or refusals of a day that differ in nothing but the time. */
export const eventShape = z.object({
  firstAt: time,
  lastAt: time,
  times: z.int(),
  protocol: z.string(),
  /** null: signed in. A newer version may know more of them. */
  reason: z.string().nullable(),
  /** null: from many. */
  address: z.string().nullable(),
  client: z.string().nullable(),
  credential: hexId.nullable(),
});

export function describeEvent(event: LoginEventRow): z.input<typeof eventShape> {
  return {
    firstAt: isoOf(event.first_at),
    lastAt: isoOf(event.last_at),
    times: event.times,
    protocol: event.protocol,
    reason: event.reason,
    address: event.address,
    client: event.client,
    credential: event.credential_id?.toString('hex') ?? null,
  };
}

export const mailSessionShape = z.object({
  id: z.string(),
  protocol: z.string(),
  credential: z.string(),
  address: z.string(),
  since: time,
  client: z.string().nullable(),
  security: z.enum(['tls', 'legacy-tls', 'clear']),
  state: z.enum(['opening', 'open', 'ending']),
});

export function describeMailSession(session: NodeSession): z.input<typeof mailSessionShape> {
  const { id, protocol, credential, peerAddress: address, client, security, state } = session;
  return { id, protocol, credential, address, since: isoOf(session.since), client, security, state };
}

export const mailSessionsShape = z.object({
  sessions: z.array(mailSessionShape),
  /** Some node did not answer: there may be more. */
  isPartial: z.boolean(),
});

export const method = z.enum(['totp', 'passkey', 'email']);
export const methodShape = z.object({
  id: hexId,
  kind: method,
  name: z.string(),
  /** E-mail: the address, but for most of it. */
  masked: z.string().nullable(),
  isDisabled: z.boolean(),
  isPrimary: z.boolean(),
  createdAt: time,
  usedAt: time.nullable(),
});

export function describeMethod(view: FactorView): z.input<typeof methodShape> {
  return {
    id: view.id.toString('hex'),
    kind: view.kind,
    name: view.name,
    masked: view.masked,
    isDisabled: view.isDisabled,
    isPrimary: view.isPrimary,
    createdAt: isoOf(view.createdAt),
    usedAt: isoOf(view.usedAt),
  };
}

/** Nothing to tell but that it is done. */
export const doneShape = z.object({ done: z.literal(true) });
export const done = { done: true } as const;
