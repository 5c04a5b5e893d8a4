import { z } from 'zod';

/**
 * Everything that can be wrong, with its status (RFC 9457). A code never changes its meaning; titles are for the eyes of whoever
 * writes a program, in English, and nothing to be parsed.
 */
const known = {
  malformed: [400, 'The body is no JSON as RFC 7493 has it, or the request is no request.'],
  'not-signed-in': [401, 'Nobody is signed in.'],
  'session-ended': [401, 'The session has ended.'],
  'second-factor-needed': [401, 'A second factor has to be shown first.'],
  'fresh-factor-needed': [401, 'A second factor has to be shown in the last five minutes.'],
  'wrong-password': [401, 'The address or the password is not right.'],
  'wrong-code': [401, 'The code is not right.'],
  'code-used': [401, 'The code was right, and is used.'],
  'code-expired': [401, 'There is no code to hold this against any more.'],
  'passkey-refused': [401, 'The passkey was not accepted.'],
  'question-gone': [401, 'Nothing was asked in this session, too long ago, or it is answered already.'],
  'foreign-origin': [403, 'The request was not made by a page of this origin.'],
  'wrong-token': [403, 'The token is not the one of the session.'],
  'enrollment-closed': [403, 'A first method cannot be set up from here, or by this sign-in.'],
  'enrollment-code-needed': [403, 'An enrollment code has to be entered first.'],
  'method-disabled': [403, 'There is no such method, or it is turned off.'],
  held: [403, 'After a recovery code no app password is made for a while.'],
  'not-allowed': [403, 'The account may not have this at the moment.'],
  'not-found': [404, 'There is no such thing, or it is not yours.'],
  'elsewhere-now': [409, 'This is not what the session is at; see "next".'],
  'identity-provider': [409, 'People of this domain sign in with an identity provider.'],
  'method-not-offered': [409, 'This method cannot be set up now.'],
  'key-exists': [409, 'This passkey is set up already.'],
  'last-method': [409, 'The account would stand on nothing.'],
  'limit-reached': [409, 'There are as many as there may be.'],
  revoked: [409, 'It is revoked, and stays so.'],
  unchangeable: [409, 'It was written by another version or hand: it may be revoked, and nothing else.'],
  enrolled: [409, 'The account has a method already.'],
  refused: [409, 'Somebody was faster, or the account is not as the gateway wrote it.'],
  impossible: [409, 'Mail is not set up so that this could work.'],
  'too-large': [413, 'The body is larger than 16 KB.'],
  'wrong-type': [415, 'The content type is not exactly "application/json".'],
  'wrong-host': [421, 'This host is not the public one.'],
  invalid: [422, 'What was said is not understood; see "errors".'],
  throttled: [429, 'Too much in a short time.'],
  failed: [500, 'It failed; the number is in the log.'],
  unavailable: [503, 'It cannot be done at the moment, and nothing was.'],
} as const satisfies Readonly<Record<string, readonly [status: number, title: string]>>;

export type ProblemCode = keyof typeof known;
export const problemCodes = Object.keys(known) as readonly ProblemCode[];

const errorCodes = [
  'missing',
  'unknown',
  'bad-type',
  'bad-value',
  'bad-entry',
  'bad-number',
  'bad-characters',
  'too-long',
  'too-many',
] as const;

/** One mistake in a body. */
export interface FieldError {
  /** RFC 6901, as a URI fragment: `#/label`. */
  readonly pointer: string;
  readonly code: (typeof errorCodes)[number];
  /** As many there may be. */
  readonly most?: number;
}

/** What goes along with some of them. */
export interface ProblemFacts {
  readonly errors?: readonly FieldError[];
  /** Level that would let it in. */
  readonly needs?: 'signed-in' | 'full' | 'stepped-up';
  /** What the session is at. */
  readonly next?: string;
  /** When it may be tried again, or is allowed. */
  readonly until?: number;
  readonly most?: number;
  readonly because?: string;
  /** Path of a page of ours that goes on from here. */
  readonly start?: string;
  readonly reference?: string;
}

/** As a handler answers it. */
export interface ApiProblem extends ProblemFacts {
  readonly kind: 'problem';
  readonly code: ProblemCode;
  /** Takes the session from the browser. */
  readonly session?: 'ended';
}

export function problem(code: ProblemCode, facts: ProblemFacts = {}): ApiProblem {
  return { kind: 'problem', code, ...facts };
}

export function statusOf(code: ProblemCode): number {
  return known[code][0];
}

/** The body of a response with a problem. */
export const problemSchema = z.object({
  type: z.enum(problemCodes.map(typeOf) as [string, ...string[]]),
  title: z.string(),
  status: z.int(),
  errors: z
    .array(
      z.object({ pointer: z.string(), code: z.enum(errorCodes), most: z.int().optional() }).meta({
        description: 'pointer: RFC 6901, as a URI fragment',
      }),
    )
    .optional(),
  needs: z.enum(['signed-in', 'full', 'stepped-up']).optional(),
  next: z.string().optional(),
  until: z.string().meta({ format: 'date-time' }).optional(),
  most: z.int().optional(),
  because: z.string().optional(),
  start: z.string().optional(),
  reference: z.string().optional(),
});

export function typeOf(code: ProblemCode): string {
  return `urn:sallyport:problem:${code}`;
}

export function bodyOf({ code, errors, until, ...facts }: ApiProblem): z.output<typeof problemSchema> {
  const [status, title] = known[code];
  const { needs, next, most, because, start, reference } = facts;
  return problemSchema.parse({
    ...{ type: typeOf(code), title, status, errors, needs, next, most, because, start, reference },
    ...(until === undefined ? {} : { until: new Date(until).toISOString() }),
  });
}

/** What zod has found, without its texts. */
export function errorsOf(error: z.ZodError): readonly FieldError[] {
  return error.issues.slice(0, mostErrors).flatMap((issue): readonly FieldError[] => {
    const pointer = pointerOf(issue.path);
    switch (issue.code) {
      case 'unrecognized_keys':
        return issue.keys.slice(0, mostErrors).map((key) => ({
          pointer: pointerOf([...issue.path, key.slice(0, mostNameCharacters).toWellFormed()]),
          code: 'unknown',
        }));
      case 'invalid_type':
        return [{ pointer, code: issue.input === undefined ? 'missing' : 'bad-type' }];
      case 'too_big':
        return [
          {
            pointer,
            code:
              issue.origin === 'string' ? 'too-long' : issue.origin === 'array' ? 'too-many' : 'bad-number',
            ...(issue.origin === 'number' ? {} : { most: Number(issue.maximum) }),
          },
        ];
      case 'too_small':
        return [{ pointer, code: issue.origin === 'number' ? 'bad-number' : 'missing' }];
      default:
        return [{ pointer, code: 'bad-value' }];
    }
  });
}

const mostErrors = 20;
const mostNameCharacters = 64;

function pointerOf(path: readonly PropertyKey[]): string {
  const escaped = path.map((part) => String(part).replaceAll('~', '~0').replaceAll('/', '~1'));
  return `#${escaped.map((part) => `/${encodeURIComponent(part)}`).join('')}`;
}
