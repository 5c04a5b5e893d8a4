/** RFC 9110 9 and friends; no mail protocol has a command that begins so. */
const foreign = /^(?:(?:GET|POST|HEAD|PUT|DELETE|OPTIONS|CONNECT|TRACE|PATCH|PRI) |Host:)/i;

/**
 * A line of a browser, or of whoever makes one speak to this port (ALPACA, wire 12, 91): the connection ends, and nothing of
 * the line is said back.
 */
export function isForeignProtocol(line: Buffer): boolean {
  return foreign.test(line.toString('latin1', 0, 16));
}
