import type { Endpoint } from './address.ts';

/** What a load balancer says of a connection it passes on. */
export type ProxyHeader =
  | { readonly kind: 'proxied'; readonly source: Endpoint; readonly destination: Endpoint }
  /** LOCAL or UNKNOWN: its own connection, mostly a health check; the socket's address counts (wire 128). */
  | { readonly kind: 'local' };

export type HeaderReading =
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'malformed' }
  /** `length`: where the client's own bytes begin. */
  | { readonly kind: 'header'; readonly header: ProxyHeader; readonly length: number };

export const incomplete: HeaderReading = { kind: 'incomplete' };
export const malformed: HeaderReading = { kind: 'malformed' };
