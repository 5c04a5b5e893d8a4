import { z } from 'zod';
import type { Config } from '../../config/schema.ts';
import { isoOf } from '../../credentials/app-password-json.ts';
import type { PortalSession } from '../../identity/portal-session.ts';
import { isAdministrator } from '../administrators.ts';
import type { NewSession } from '../route.ts';
import type { Home, Signposts } from '../signposts.ts';
import { type ApiProblem, problem } from './problem.ts';
import { type ApiResult, result } from './route.ts';
import { time } from './shapes.ts';

/** What there is to do next for a session. */
const nextOf = {
  '/sign-in': 'sign-in',
  '/verify': 'second-factor',
  '/set-up': 'enrollment',
  '/not-required': 'not-required',
  '/app-passwords': 'nothing',
} as const satisfies Readonly<Record<Home, string>>;

export const sessionSchema = z.object({
  level: z.enum(['anonymous', 'first-factor', 'full', 'stepped-up']),
  address: z.string().nullable(),
  /** Belongs into the body of every POST of this session. */
  csrf: z.string().nullable(),
  next: z.enum(['sign-in', 'second-factor', 'enrollment', 'not-required', 'nothing']),
  isAdministrator: z.boolean(),
  /** Until then a fresh factor is not asked for again; null on other levels. */
  freshUntil: time.nullable(),
  /** Without another request. */
  endsAt: time.nullable(),
});

/** Sessions as the API tells of them. */
export class SessionStates {
  readonly #config: Config;
  readonly #signposts: Signposts;

  constructor(parts: { readonly config: Config; readonly signposts: Signposts }) {
    this.#config = parts.config;
    this.#signposts = parts.signposts;
  }

  async of(session: PortalSession): Promise<z.input<typeof sessionSchema>> {
    const { level } = session;
    const next = await this.nextOf(session);
    if (level === 'anonymous') {
      const none = { address: null, csrf: null, freshUntil: null, endsAt: null };
      return { level, next, isAdministrator: false, ...none };
    }
    return {
      ...{ level, next, address: session.account.address, csrf: session.csrf },
      isAdministrator: level !== 'first-factor' && isAdministrator(session, this.#config),
      freshUntil: level === 'stepped-up' ? isoOf(session.until) : null,
      endsAt: isoOf(session.ends.at),
    };
  }

  async nextOf(session: PortalSession): Promise<(typeof nextOf)[Home]> {
    return nextOf[await this.#signposts.homeOf(session)];
  }

  /** Gives the browser a new session and tells of it; `ended` takes it away. */
  async change(to: NewSession): Promise<ApiResult<z.input<typeof sessionSchema>>> {
    const session: PortalSession = to === 'ended' ? { level: 'anonymous', ended: false } : to.session;
    return result(await this.of(session), to);
  }

  async elsewhere(session: PortalSession): Promise<ApiProblem> {
    return problem('elsewhere-now', { next: await this.nextOf(session) });
  }
}

/** Of a session that ended while it was at work. */
export const sessionEnded: ApiProblem = {
  ...problem('session-ended', { needs: 'signed-in' }),
  session: 'ended',
};
