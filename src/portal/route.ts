import { z } from 'zod';
import type {
  FirstFactorSession,
  FullSession,
  PortalSession,
  StartedSession,
  SteppedUpSession,
} from '../identity/portal-session.ts';
import type { Peer } from '../identity/sign-in/imap.ts';
import type { Page } from './views.ts';

/** What a route demands of a session, and the session its handler may count on (S-60). */
export interface SessionAt {
  anyone: PortalSession;
  'signed-in': FirstFactorSession | FullSession | SteppedUpSession;
  'first-factor': FirstFactorSession;
  full: FullSession | SteppedUpSession;
  'stepped-up': SteppedUpSession;
}
export type Level = keyof SessionAt;

/** What a stale second factor is asked for: where the person goes after showing it (S-68). */
export type StepUpPurpose = 'create' | 'revoke-all';

/** What a handler is given: checked, and nothing of the raw request. */
export interface Visit<L extends Level, Body> {
  readonly session: SessionAt[L];
  readonly body: Body;
  /** `:id` of the path, 16 bytes; null where it is malformed or the path has none. */
  readonly id: Buffer | null;
  /** `:purpose` of the path. */
  readonly purpose: string;
  /** `?revoked=`, for the one page that says what was done. */
  readonly revoked: string | null;
  readonly peer: Peer;
  readonly userAgent: string;
}

/** What a handler answers with. `session`: shown to the browser from now on, or taken from it. */
export type Answer =
  | {
      readonly kind: 'page';
      /** 200 where not given. */
      readonly status?: number;
      readonly retryAfterMs?: number;
      readonly page: Page;
      readonly session?: NewSession;
    }
  | { readonly kind: 'redirect'; readonly to: string; readonly session?: NewSession }
  | { readonly kind: 'not-found' };

export type NewSession = StartedSession<FirstFactorSession | SteppedUpSession> | 'ended';

type Shape = Readonly<Record<string, z.ZodType<unknown, string | undefined>>>;

/** A route as the server mounts it. */
export interface Route {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly level: Level;
  /** Only on level `stepped-up`. */
  readonly purpose: StepUpPurpose | null;
  /** The form's fields beside the token; no other key is let in (S-63). */
  readonly body: z.ZodType<object>;
  /** `csrf` is checked before on every POST that has a session. */
  handle(visit: Visit<Level, unknown>): Promise<Answer>;
}

/** A page: changes nothing. */
export function get<L extends Exclude<Level, 'stepped-up'>>(
  path: string,
  level: L,
  handle: (visit: Visit<L, object>) => Promise<Answer>,
): Route {
  return route('GET', path, level, null, {}, handle);
}

/** A form. */
export function post<L extends Exclude<Level, 'stepped-up'>, S extends Shape>(
  path: string,
  level: L,
  fields: S,
  handle: (visit: Visit<L, Fields<S>>) => Promise<Answer>,
): Route {
  return route('POST', path, level, null, fields, handle);
}

/** A page that needs a second factor of the last five minutes. */
export function getSteppedUp(
  path: string,
  purpose: StepUpPurpose,
  handle: (visit: Visit<'stepped-up', object>) => Promise<Answer>,
): Route {
  return route('GET', path, 'stepped-up', purpose, {}, handle);
}

/** A form that needs a second factor of the last five minutes. */
export function postSteppedUp<S extends Shape>(
  path: string,
  purpose: StepUpPurpose,
  fields: S,
  handle: (visit: Visit<'stepped-up', Fields<S>>) => Promise<Answer>,
): Route {
  return route('POST', path, 'stepped-up', purpose, fields, handle);
}

type Fields<S extends Shape> = { readonly [Name in keyof S]: z.output<S[Name]> };

function route<L extends Level, S extends Shape>(
  method: Route['method'],
  path: string,
  level: L,
  purpose: StepUpPurpose | null,
  fields: S,
  handle: (visit: Visit<L, Fields<S>>) => Promise<Answer>,
): Route {
  const token = level === 'anyone' ? {} : { csrf: z.string().max(64) };
  return {
    method,
    path,
    level,
    purpose,
    body: z.strictObject({ ...fields, ...token }),
    // The server checks session and body against `level` and `body` before it calls.
    handle: (visit) => handle(visit as Visit<L, Fields<S>>),
  };
}

export function redirect(to: string, session?: NewSession): Answer {
  return session === undefined ? { kind: 'redirect', to } : { kind: 'redirect', to, session };
}

export function page(page: Page, status = 200): Answer {
  return { kind: 'page', status, page };
}
