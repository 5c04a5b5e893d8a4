/**
 * Clocks of nodes differ by less. What was made later than that from now was made before the clock was set back: it would
 * live, or lock somebody out, for so much longer (S-27).
 */
export const aheadMs = 60_000;
