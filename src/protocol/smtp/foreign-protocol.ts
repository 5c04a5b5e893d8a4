/**
 * A line of a browser, or of whoever makes one speak to this port (ALPACA, wire 91): the connection ends, and nothing of the
 * line is said back. No SMTP command begins so.
 */
export function isForeignProtocol(line: Buffer): boolean {
  return /^(?:(?:GET|HEAD|POST|PUT|DELETE|OPTIONS|TRACE|CONNECT|PATCH) \S|PRI \* |Host:)/i.test(
    line.toString('latin1', 0, 64),
  );
}
