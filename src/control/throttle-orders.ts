import { z } from 'zod';
import type { Throttle } from '../credentials/throttle.ts';
import { type ControlCommand, RefusedOrder } from './server.ts';

const filterSchema = z.strictObject({
  account: z.string().max(254).nullable(),
  network: z.string().max(64).nullable(),
});

/** As `ThrottleView`, with the account's tag in hexadecimal digits. */
export const throttleViewSchema = z.object({
  entries: z.array(
    z.object({
      tag: z.string().nullable(),
      network: z.string(),
      distinct: z.number(),
      refuseFrom: z.number(),
      refusedUntil: z.number(),
    }),
  ),
  exempt: z.array(z.object({ tag: z.string(), network: z.string(), until: z.number() })),
});
export type ThrottleReport = z.output<typeof throttleViewSchema>;

/** `throttle-show` and `throttle-clear`; both take a ThrottleFilter. */
export function throttleOrders(throttle: Throttle): Readonly<Record<string, ControlCommand>> {
  return {
    'throttle-show': (details) => throttleReport(throttle, filterOf(details)),
    'throttle-clear': (details, { operator, logger }) => {
      const filter = filterOf(details);
      const cleared = throttle.clear(filter);
      logger.info({ operator, ...filter, cleared }, 'throttle cleared by an operator');
      return { cleared };
    },
  };
}

export function throttleReport(
  throttle: Throttle,
  filter: { readonly account: string | null; readonly network: string | null },
): ThrottleReport {
  const { entries, exempt } = throttle.view(filter);
  return {
    entries: entries.map((entry) => ({ ...entry, tag: entry.tag?.toString('hex') ?? null })),
    exempt: exempt.map((each) => ({ ...each, tag: each.tag.toString('hex') })),
  };
}

function filterOf(details: unknown) {
  const filter = filterSchema.safeParse(details);
  if (!filter.success)
    throw new RefusedOrder('The order names no account or network in a way the gateway knows.');
  return filter.data;
}
