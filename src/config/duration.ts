import { z } from 'zod';

const day = 86_400_000;

/** `30s 15m 12h 90d`, to milliseconds. Node's timers overflow at 24.8 days and then fire at once. */
export function duration(least: string, most = '24d') {
  return z
    .string()
    .regex(/^\d{1,6}(s|m|h|d)$/, 'must be a duration such as 30s, 15m, 12h or 90d')
    .transform(parseDuration)
    .refine((ms) => ms >= parseDuration(least) && ms <= parseDuration(most), `must be ${least} to ${most}`);
}

/** Milliseconds of a duration that has the shape `30s 15m 12h 90d`; NaN for anything else. */
export function parseDuration(text: string): number {
  const match = /^(\d{1,6})(s|m|h|d)$/.exec(text);
  if (match === null) return Number.NaN;
  const unit = { s: 1_000, m: 60_000, h: 3_600_000, d: day }[match[2] as 's' | 'm' | 'h' | 'd'];
  return Number(match[1]) * unit;
}

/** Whole seconds as they are written: `90d`, `36h`. */
export function formatDuration(ms: number): string {
  const units = [
    ['d', day],
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1_000],
  ] as const;
  const [unit, size] = units.find(([, each]) => ms % each === 0) ?? ['s', 1_000];
  return `${Math.ceil(ms / size)}${unit}`;
}
