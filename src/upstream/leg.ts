import type { BackendEndpoint } from '../config/schema.ts';
import type { Upstream } from './upstreams.ts';

/** One protocol of a backend. */
export type Leg = 'imap' | 'smtp' | 'pop3';

/** Throws where the backend has no such leg, which loading the configuration rules out. */
export function endpointOf({ backend }: Upstream, leg: Leg): BackendEndpoint {
  const endpoint = backend[leg];
  if (endpoint === null) throw new Error(`backend ${backend.name} has no ${leg}`);
  return endpoint;
}
