import { z } from 'zod';
import type { Level, NewSession, RouteRule, Visit } from '../route.ts';
import { apiBase } from './api-request.ts';
import type { ApiProblem, ProblemCode } from './problem.ts';

/** What a handler is given of a request: checked, as a page's is. */
export type ApiVisit<L extends Level, Body> = Pick<
  Visit<L, Body>,
  'session' | 'body' | 'language' | 'id' | 'query' | 'peer' | 'userAgent'
>;

/** `session`: shown to the browser from now on, or taken from it. */
export interface ApiResult<R> {
  readonly kind: 'result';
  readonly body: R;
  readonly session?: NewSession;
}
export type ApiAnswer<R> = ApiResult<R> | ApiProblem;

/** Names of a body and what each is; or of a result. */
type Shape = Readonly<Record<string, z.ZodType>>;
type Fields<S extends Shape> = { readonly [Name in keyof S]: z.output<S[Name]> };

/** A route of the API as the server mounts it and the document describes it. */
export interface ApiRoute extends RouteRule {
  /** One sentence, for the document. */
  readonly summary: string;
  /** Only POST. Beside the token; no other name is let in (S-63). */
  readonly body: z.ZodObject;
  /** Only GET: what may follow the `?`, and what each is. */
  readonly query: Readonly<Record<string, string>>;
  readonly status: 200 | 201;
  /** What is not in it leaves nobody. */
  readonly result: z.ZodType;
  /** What this route alone can answer besides; what all of its kind can is in {@link problemsOf}. */
  readonly problems: readonly ProblemCode[];
  handle(visit: ApiVisit<Level, unknown>): Promise<ApiAnswer<unknown>>;
}

interface Description<R extends z.ZodType> {
  readonly summary: string;
  readonly result: R;
  readonly problems?: readonly ProblemCode[];
  readonly role?: 'administrator';
}

/** Changes nothing. */
export function read<L extends Level, R extends z.ZodType>(
  path: string,
  level: L,
  description: Description<R> & { readonly query?: Readonly<Record<string, string>> },
  handle: (visit: ApiVisit<L, object>) => Promise<ApiAnswer<z.input<R>>>,
): ApiRoute {
  return { ...route('GET', path, level, description, {}, handle), query: description.query ?? {} };
}

export function act<L extends Level, S extends Shape, R extends z.ZodType>(
  path: string,
  level: L,
  description: Description<R> & { readonly body: S; readonly status?: 201 },
  handle: (visit: ApiVisit<L, Fields<S>>) => Promise<ApiAnswer<z.input<R>>>,
): ApiRoute {
  const { body, status = 200 } = description;
  return { ...route('POST', path, level, description, body, handle), status };
}

function route<L extends Level, S extends Shape, R extends z.ZodType>(
  method: ApiRoute['method'],
  path: string,
  level: L,
  { summary, result, problems = [], role }: Description<R>,
  body: S,
  handle: (visit: ApiVisit<L, Fields<S>>) => Promise<ApiAnswer<z.input<R>>>,
): ApiRoute {
  return {
    ...{ method, path: `${apiBase}${path}`, level, role: role ?? null, summary, result, problems },
    body: z.strictObject({ ...body, ...(level === 'anyone' ? {} : { csrf: z.string().max(64) }) }),
    query: {},
    status: 200,
    // The server checks session and body against `level` and `body` before it calls.
    handle: (visit) => handle(visit as unknown as ApiVisit<L, Fields<S>>),
  };
}

export function result<R>(body: R, session?: NewSession): ApiResult<R> {
  return session === undefined ? { kind: 'result', body } : { kind: 'result', body, session };
}

/** All that a route can answer but what it is for. */
export function problemsOf({ method, path, level, role, problems }: ApiRoute): ReadonlySet<ProblemCode> {
  const all = new Set<ProblemCode>(['wrong-host', 'foreign-origin', 'throttled', 'unavailable', 'failed']);
  const add = (...codes: readonly ProblemCode[]) => {
    for (const code of codes) all.add(code);
  };
  if (method === 'POST') add('malformed', 'wrong-type', 'too-large', 'invalid');
  if (method === 'POST' && level !== 'anyone') add('wrong-token');
  if (level !== 'anyone') add('not-signed-in', 'session-ended');
  if (level === 'first-factor') add('elsewhere-now');
  if (level === 'full' || level === 'stepped-up') add('second-factor-needed');
  if (level === 'stepped-up') add('fresh-factor-needed');
  if (role !== null || path.includes(':id')) add('not-found');
  add(...problems);
  return all;
}
