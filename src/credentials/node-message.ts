import { z } from 'zod';
import { type SealBox, SealError, type SealPlace } from './seal.ts';
import { sessionFilterSchema, sessionViewSchema } from './session-directory.ts';

// What nodes say to each other over Redis, sealed: it learns neither account nor address, and who writes it can say nothing of
// his own. JSON only of what has opened; a stranger's text meets no parser but base64url.

const token = z.string().regex(/^[A-Za-z0-9_-]{22}$/);
const node = z.strictObject({
  /** Random, of one process: no order to a node reaches its successor. */
  instance: token,
  name: z.string().regex(/^[\x21-\x7e]{1,100}$/),
});
/** Which process. `name` is for people. */
export type Node = Readonly<z.output<typeof node>>;

const questionSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('who') }),
  z.strictObject({ kind: z.literal('list'), filter: sessionFilterSchema }),
  z.strictObject({
    kind: z.literal('end'),
    filter: sessionFilterSchema,
    reason: z.string().max(200),
    /** Instances it is for. */
    to: z.array(token).max(1_000),
  }),
]);
export type Question = z.output<typeof questionSchema>;

const answerSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('here') }),
  z.strictObject({ kind: z.literal('sessions'), sessions: z.array(sessionViewSchema), omitted: z.number() }),
  z.strictObject({ kind: z.literal('ended'), ended: z.number() }),
]);
export type Answer = z.output<typeof answerSchema>;

const head = {
  from: node,
  /** Milliseconds since 1970, rising with each message of a node. */ at: z.number(),
};
const messageSchema = z.discriminatedUnion('kind', [
  z.strictObject({ ...head, kind: z.literal('alive'), isNew: z.boolean() }),
  z.strictObject({ ...head, kind: z.literal('gone') }),
  z.strictObject({ ...head, kind: z.literal('question'), id: token, question: questionSchema }),
  z.strictObject({
    ...head,
    kind: z.literal('answer'),
    id: token,
    part: z.int().min(0),
    isLast: z.boolean(),
    answer: answerSchema,
  }),
]);
export type NodeMessage = z.output<typeof messageSchema>;

/** An answer of 100 sessions has a third of it. */
const maxCharacters = 262_144;
const none = Buffer.alloc(0);

export function sealMessage(box: SealBox, channel: string, message: NodeMessage): string {
  return box.seal(placeOf(channel), Buffer.from(JSON.stringify(message)));
}

/** null for anything that no gateway said on this channel. */
export function openMessage(box: SealBox, channel: string, text: string): NodeMessage | null {
  if (text.length > maxCharacters) return null;
  try {
    const parsed = messageSchema.safeParse(JSON.parse(box.open(placeOf(channel), text).toString('utf8')));
    // Of another version.
    return parsed.success ? parsed.data : null;
  } catch (error) {
    if (error instanceof SealError || error instanceof SyntaxError) return null;
    throw error;
  }
}

function placeOf(channel: string): SealPlace {
  return { purpose: 'node-message', table: 'redis', column: channel, rowId: none, accountId: none };
}
