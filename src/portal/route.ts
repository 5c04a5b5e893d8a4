import { z } from 'zod';
import type {
  FirstFactorSession,
  FullSession,
  PortalSession,
  StartedSession,
  SteppedUpSession,
} from '../identity/portal-session.ts';
import type { Peer } from '../identity/sign-in/imap.ts';
import type { Language } from './language.ts';
import type { StepUpPurpose } from './step-up.ts';
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

export type { StepUpPurpose };

/** What a handler is given: checked, and nothing of the raw request. */
export interface Visit<L extends Level, Body> {
  readonly session: SessionAt[L];
  readonly body: Body;
  readonly language: Language;
  /** `:id` of the path, 16 bytes; null where it is malformed or the path has none. */
  readonly id: Buffer | null;
  /** `:purpose` of the path. */
  readonly purpose: string;
  /** `:provider` of the path. */
  readonly provider: string;
  /** Cookie of a sign-in that is on its way to an identity provider and back. */
  readonly transaction: string | undefined;
  /** What follows the `?`; a name given twice is left out. */
  readonly query: Readonly<Record<string, string>>;
  /** A form of this page that was sent when the factor had become stale (S-68): as posted, to be checked again. */
  readonly draft: object | null;
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
      /** A path of ours that the browser opens by itself. */
      readonly continueTo?: string;
    }
  | {
      readonly kind: 'redirect';
      /** A path of ours. */
      readonly to: string;
      readonly session?: NewSession;
      /** Tag of the language that the browser is shown from now on. */
      readonly language?: string;
    }
  /** To an identity provider; only its own discovery document says where that is. */
  | { readonly kind: 'away'; readonly to: URL; readonly transaction: string }
  | {
      readonly kind: 'file';
      readonly type: string;
      /** ASCII, as the browser saves it. */
      readonly filename: string;
      readonly body: Buffer;
    }
  | { readonly kind: 'not-found' };

export type NewSession = StartedSession<FirstFactorSession | FullSession | SteppedUpSession> | 'ended';

type Shape = Readonly<Record<string, z.ZodType<unknown, string | undefined>>>;

/** Where a route is and whom it lets in: the same for pages and the API. */
export interface RouteRule {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly level: Level;
  /** Whom it is for besides; to everybody else it does not exist. */
  readonly role: 'administrator' | null;
}

/** A page or a form as the server mounts it. */
export interface Route extends RouteRule {
  /** Only on level `stepped-up`. */
  readonly purpose: StepUpPurpose | null;
  /** The form's fields beside the token; no other key is let in (S-63). */
  readonly body: z.ZodType<object>;
  /** Whether what was filled in is kept while a fresh factor is shown. Not for forms that hold a secret. */
  readonly keepsDraft: boolean;
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

/** A page for administrators. */
export function administratorGet(
  path: string,
  handle: (visit: Visit<'full', object>) => Promise<Answer>,
): Route {
  return { ...route('GET', path, 'full', null, {}, handle), role: 'administrator' };
}

/** A page for administrators that needs a second factor of the last five minutes. */
export function administratorGetSteppedUp(
  path: string,
  purpose: StepUpPurpose,
  handle: (visit: Visit<'stepped-up', object>) => Promise<Answer>,
): Route {
  return { ...route('GET', path, 'stepped-up', purpose, {}, handle), role: 'administrator' };
}

/** What administrators change needs a fresh factor always. */
export function administratorPost<S extends Shape>(
  path: string,
  purpose: StepUpPurpose,
  fields: S,
  handle: (visit: Visit<'stepped-up', Fields<S>>) => Promise<Answer>,
): Route {
  return { ...route('POST', path, 'stepped-up', purpose, fields, handle), role: 'administrator' };
}

/** The same form, whose fields outlive a step-up. */
export function keepingDraft(route: Route): Route {
  return { ...route, keepsDraft: true };
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
    role: null,
    keepsDraft: false,
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
