import { z } from 'zod';

/** Raised when an answer changes so that an older command would misread it. */
export const controlVersion = 2;
/** An order is a line; nobody has one that comes near. */
export const maxOrderBytes = 16_384;
/** Characters of a reason; the journal keeps as many. */
export const maxReason = 500;
/** An answer is a line: 100,000 sessions. */
export const maxAnswerBytes = 64 << 20;

/** What a command asks of the running gateway. */
export const orderSchema = z.strictObject({
  version: z.number(),
  name: z.string().max(64),
  /** Who typed the command, for the log. */
  operator: z.string().max(128),
  /** Why, in the operator's words, for the audit trail. */
  reason: z.string().max(maxReason).optional(),
  details: z.unknown(),
});
export type Order = z.output<typeof orderSchema>;

/** `problem` is a sentence for the operator. */
export const answerSchema = z.discriminatedUnion('kind', [
  z.strictObject({ version: z.number(), kind: z.literal('done'), result: z.unknown() }),
  z.strictObject({ version: z.number(), kind: z.literal('refused'), problem: z.string() }),
]);
export type Answer = z.output<typeof answerSchema>;
