import QRCode from 'qrcode';
import type { EnrollingSession } from '../identity/second-factor/changes.ts';
import type { Factors, Method } from '../identity/second-factor/factors.ts';
import type { Peer } from '../identity/sign-in/imap.ts';
import { type Added, isMethodName, type MethodActions, nameCharacters } from './actions/methods.ts';
import type { Language } from './language.ts';
import { guessMailApp } from './mail-app.ts';
import { type Answer, page, redirect } from './route.ts';
import type { Problem } from './views.ts';

/** Who sets up a method, and where: a first one under /set-up, one more under /methods/add. */
export interface SetUp {
  readonly session: EnrollingSession;
  readonly language: Language;
  readonly peer: Peer;
  readonly userAgent: string;
}

/** The pages on which a method is chosen, tried and so set up: the same for the first one and for one more. */
export class MethodSetUp {
  readonly #factors: Factors;
  readonly #actions: MethodActions;
  readonly #base: '/set-up' | '/methods/add';

  constructor(parts: {
    readonly factors: Factors;
    readonly actions: MethodActions;
    /** Path of the page where the method is chosen. */
    readonly base: '/set-up' | '/methods/add';
  }) {
    this.#factors = parts.factors;
    this.#actions = parts.actions;
    this.#base = parts.base;
  }

  /** A question, unless there is one answer only: then what it leads to is for {@link choose}. */
  async choosePage(
    { session, language }: SetUp,
    problems: readonly Problem[] = [],
    status = 200,
  ): Promise<Answer> {
    const { choose: t } = language.texts;
    const methods = await this.#factors.methodsToAdd(session);
    const hints = { totp: t.totpHint, passkey: t.passkeyHint, email: t.emailHint };
    const data = {
      isFirst: this.#isFirst,
      action: this.#isFirst ? '/set-up/method' : this.#base,
      methods: methods.map((value) => ({ value, name: t[value], hint: hints[value] })),
      cancel: this.#isFirst ? null : '/methods',
      problems,
    };
    return page({ view: 'choose-method', data }, status);
  }

  /** Begins with a method; undefined where none was chosen. */
  async choose(setUp: SetUp, method: Method | undefined): Promise<Answer> {
    const { session, language } = setUp;
    if (method === undefined || !(await this.#actions.begin(session, method))) {
      return await this.choosePage(setUp, [{ field: 'method-totp', text: language.texts.choose.none }], 422);
    }
    return redirect(`${this.#base}/${method === 'totp' ? 'app' : method}`);
  }

  /** Where another method is chosen; null where there is none. */
  async #other(session: EnrollingSession): Promise<string | null> {
    const methods = await this.#factors.methodsToAdd(session);
    if (methods.length < 2) return null;
    return this.#isFirst ? '/set-up/method' : this.#base;
  }

  async appPage(
    { session }: SetUp,
    problems: readonly Problem[] = [],
    status = 200,
    name = '',
  ): Promise<Answer> {
    const pending = await this.#factors.apps.pending(session);
    if (pending === null) return redirect(this.#base);
    const svg = await QRCode.toString(pending.uri, { type: 'svg', errorCorrectionLevel: 'M', margin: 3 });
    const data = {
      isFirst: this.#isFirst,
      action: `${this.#base}/app`,
      qr: `data:image/svg+xml;base64,${Buffer.from(svg).toString('base64')}`,
      uri: pending.uri,
      keyGroups: pending.key.match(/.{1,4}/g) ?? [],
      name: this.#isFirst ? null : name,
      other: await this.#other(session),
      problems,
    };
    return page({ view: 'set-up-app', data }, status);
  }

  async confirmApp(setUp: SetUp, code: string, name = ''): Promise<Answer> {
    const { session, peer, language } = setUp;
    const { texts } = language;
    const again = async (problem: Problem, status: number) => this.appPage(setUp, [problem], status, name);
    const added = await this.#actions.addApp(session, peer, code, name);
    switch (added.kind) {
      case 'bad-name':
        return await again(badName(language), 422);
      case 'wrong':
        return await again({ field: 'code', text: texts.codeWrong }, 401);
      case 'malformed':
        return await again({ field: 'code', text: texts.codeLength }, 422);
      default:
        return this.finish(setUp, added);
    }
  }

  async passkeyPage(setUp: SetUp, problems: readonly Problem[] = [], status = 200): Promise<Answer> {
    const { session, language, userAgent } = setUp;
    const options = await this.#factors.passkeys.creationOptions(session);
    const data = {
      isFirst: this.#isFirst,
      action: `${this.#base}/passkey`,
      options: options === null ? null : JSON.stringify(options),
      name: guessMailApp(userAgent, language.texts).device,
      other: await this.#other(session),
      problems,
    };
    return page({ view: 'set-up-passkey', data }, status);
  }

  async beginPasskey({ session }: SetUp): Promise<Answer> {
    await this.#factors.passkeys.beginCreation(session);
    return redirect(`${this.#base}/passkey`);
  }

  async confirmPasskey(setUp: SetUp, answer: string, name: string): Promise<Answer> {
    const { session, peer, language } = setUp;
    const { passkey: t } = language.texts;
    const again = async (text: string) => this.passkeyPage(setUp, [{ field: 'answer', text }], 422);
    const added = await this.#actions.addPasskey(session, peer, answer, name);
    switch (added.kind) {
      case 'refused':
        return await again(t.refused);
      case 'exists':
        return await again(t.exists);
      case 'gone':
        return await again(t.expired);
      default:
        return this.finish(setUp, added);
    }
  }

  /** After the factor was added, or could not be. */
  finish({ session, language }: SetUp, added: Added): Answer {
    switch (added.kind) {
      case 'added': {
        if (session.level === 'stepped-up') return redirect('/methods?done=added', added.started);
        const place = session.opened === 'recovery' ? '/methods?done=replaced' : '/set-up/verified';
        return redirect(place, added.started);
      }
      case 'session-gone':
        return redirect('/sign-in', 'ended');
      case 'full': {
        const problem = { field: 'method-totp', text: language.texts.choose.full };
        return page(
          {
            view: 'choose-method',
            data: {
              isFirst: this.#isFirst,
              action: this.#base,
              methods: [],
              cancel: '/methods',
              problems: [problem],
            },
          },
          409,
        );
      }
      case 'gone':
      case 'closed':
        return redirect(this.#base);
      default:
        return added satisfies never;
    }
  }

  get #isFirst(): boolean {
    return this.#base === '/set-up';
  }
}

/** null: the name is one. */
export function nameProblem(name: string, language: Language): Problem | null {
  return isMethodName(name) ? null : badName(language);
}

function badName({ texts }: Language): Problem {
  return { field: 'name', text: texts.methodName.bad(nameCharacters) };
}
