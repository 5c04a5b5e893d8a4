/** Whom the backend is told it serves, as far as its protocol has words for it: ID (wire 71), XCLIENT (wire 129). */
export interface ForwardedPeer {
  /** IPv4 or IPv6, textual, perhaps with a zone. */
  readonly address: string;
  readonly port: number;
  /** Where it reached the gateway. */
  readonly localAddress: string;
  readonly localPort: number;
  readonly sessionId: string;
  /** What it said in EHLO (`isExtended`) or HELO, as sent; null where it said neither. */
  readonly helo: { readonly name: string; readonly isExtended: boolean } | null;
}
