/** Where nobody has counted yet, and the most that is believed: Dovecot's own count. */
const hops = 5;

/**
 * What an ID toward the backend says of the hops that are left behind this gateway (wire 72); null: none, it must not be
 * dialled. `given` is what the client, itself a proxy, says is left; it may lie and can only make it less.
 */
export function forwardedTtl(given: number | null): number | null {
  const left = Math.min(given ?? hops, hops) - 1;
  return left < 0 ? null : left;
}
