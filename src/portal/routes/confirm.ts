import { z } from 'zod';
import type { FirstFactorSession, FullSession, SteppedUpSession } from '../../identity/portal-session.ts';
import type { SendOutcome } from '../../identity/second-factor/email-code.ts';
import type { Factors } from '../../identity/second-factor/factors.ts';
import type { Peer } from '../../identity/sign-in/imap.ts';
import type { OidcSignIn } from '../../identity/sign-in/oidc.ts';
import type { CodeWay, SecondFactorActions } from '../actions/second-factor.ts';
import type { Language } from '../language.ts';
import type { Texts } from '../locales/en.ts';
import type { Notices } from '../notices.ts';
import { type Answer, get, page, post, type Route, redirect } from '../route.ts';
import type { Signposts } from '../signposts.ts';
import { destinationOf } from '../step-up.ts';
import type { Problem } from '../views.ts';
import { providerConfirmation } from './oidc.ts';

type Session = FirstFactorSession | FullSession | SteppedUpSession;
const ways = ['totp', 'passkey', 'email', 'recovery'] as const;
type Way = (typeof ways)[number];

interface Confirming {
  readonly session: Session;
  /** `:purpose` of /confirm; null at sign-in. */
  readonly purpose: string | null;
  readonly language: Language;
  readonly peer: Peer;
}

/** Showing the second factor: to come in, and again for what needs a fresh one. */
export function confirmRoutes(parts: {
  readonly factors: Factors;
  readonly actions: SecondFactorActions;
  readonly signposts: Signposts;
  readonly notices: Notices;
  readonly oidc: OidcSignIn;
}): readonly Route[] {
  const { factors, actions, signposts, notices, oidc } = parts;

  const form = async (
    { session, purpose, language }: Confirming,
    wanted: Way | null,
    problems: readonly Problem[] = [],
    status = 200,
  ): Promise<Answer> => {
    const { texts: t, formats } = language;
    const { methods, hasRecovery, hasTouchOnlyKey } = await factors.waysOf(session);
    const there: readonly Way[] = hasRecovery ? [...methods, 'recovery'] : methods;
    const provider = purpose === null ? null : providerConfirmation(oidc, session.account, purpose);
    const isSignInNeeded = purpose !== null && methods.length === 0 && hasTouchOnlyKey;
    if (there.length === 0 && provider === null && !isSignInNeeded) return notices.factorDisabled(language);
    const way = wanted !== null && there.includes(wanted) ? wanted : (methods[0] ?? null);
    const method = way ?? (provider === null && !isSignInNeeded ? (there[0] ?? null) : null);
    const action = pathOf(purpose);
    const options = method === 'passkey' ? await factors.passkeys.checkOptions(session) : null;
    const sent = method === 'email' ? await factors.emailCodes.pending(session) : null;
    const leads = {
      totp: purpose === null ? t.confirm.signIn : t.confirm.body,
      passkey: t.confirm.passkey,
      email: t.confirm.email,
      recovery: t.confirm.recovery,
    };
    const labels = {
      totp: t.confirm.useTotp,
      passkey: t.confirm.usePasskey,
      email: t.confirm.useEmail,
      recovery: t.confirm.useRecovery,
    };
    const data = {
      action,
      method,
      lead:
        method !== null
          ? leads[method]
          : isSignInNeeded
            ? t.confirm.again
            : t.oidc.confirm(provider?.label ?? ''),
      options: options === null ? null : JSON.stringify(options),
      sent: sent === null ? null : t.emailCode.sent(sent.masked, formats.time(sent.until)),
      others: there
        .filter((each) => each !== method)
        .map((each) => ({ href: `${action}?method=${each}`, label: labels[each] })),
      provider: provider === null ? null : { href: provider.href, label: t.oidc.confirmWith(provider.label) },
      isSignInNeeded,
      cancel: purpose === null ? null : '/app-passwords',
      problems,
    };
    return page({ view: 'confirm', data }, status);
  };

  const judge = async (at: Confirming, way: CodeWay, code: string): Promise<Answer> => {
    const { session, peer, language } = at;
    const shown = await actions.showCode(session, peer, way, code);
    const again = async (text: string, status: number) => form(at, way, [{ field: 'code', text }], status);
    const t = wordsOf(way, language.texts);
    switch (shown.kind) {
      case 'confirmed':
        return redirect(placeAfter(at), shown.started);
      case 'replacing':
        return redirect('/set-up', shown.started);
      case 'session-gone':
        return redirect('/sign-in', 'ended');
      case 'wrong':
        return await again(t.wrong, 401);
      case 'used':
        return await again(language.texts.codeUsed, 401);
      case 'malformed':
        return await again(t.length, 422);
      case 'expired':
        return await again(language.texts.emailCode.expired, 401);
      case 'disabled':
        return await form(at, null, [{ field: 'code', text: language.texts.confirm.methodDisabled }], 403);
      case 'unavailable':
        return notices.unavailable(language);
      case 'throttled':
        return notices.throttled(language, shown.until);
      default:
        return shown satisfies never;
    }
  };

  const checkPasskey = async (at: Confirming, answer: string | undefined): Promise<Answer> => {
    const { session, purpose, peer, language } = at;
    if (answer === undefined || answer === '') {
      await factors.passkeys.beginCheck(session);
      return redirect(`${pathOf(purpose)}?method=passkey`);
    }
    const { passkey: t } = language.texts;
    const again = async (text: string) => form(at, 'passkey', [{ field: 'answer', text }], 401);
    const shown = await actions.showPasskey(session, peer, answer);
    switch (shown.kind) {
      case 'confirmed':
        return redirect(placeAfter(at), shown.started);
      case 'replacing':
        return redirect('/set-up', shown.started);
      case 'session-gone':
        return redirect('/sign-in', 'ended');
      case 'gone':
        return await again(t.expired);
      case 'refused':
      case 'disabled':
        return await again(t.refused);
      default:
        return shown satisfies never;
    }
  };

  const sent = async (at: Confirming, outcome: SendOutcome): Promise<Answer> => {
    const { language, purpose } = at;
    switch (outcome.kind) {
      case 'sent':
        return redirect(`${pathOf(purpose)}?method=email`);
      case 'throttled':
        return notices.throttled(language, outcome.until);
      case 'unavailable':
        return await form(at, 'email', [{ field: 'code', text: language.texts.emailCode.unavailable }], 503);
      case 'disabled':
      case 'invalid':
      case 'same':
      case 'served':
        return await form(at, null, [{ field: 'code', text: language.texts.confirm.methodDisabled }], 403);
      default:
        return outcome satisfies never;
    }
  };

  const check = async (at: Confirming, body: z.output<typeof given>): Promise<Answer> => {
    const { session, language } = at;
    const { method: way, code, answer } = body;
    switch (way) {
      case 'totp':
        return await judge(at, way, code ?? '');
      case 'passkey':
        return await checkPasskey(at, answer);
      case 'email':
        return code === undefined
          ? await sent(at, await factors.emailCodes.beginCheck(session, language.tag))
          : await judge(at, way, code);
      case 'recovery':
        return await judge(at, way, code ?? '');
      default:
        return way satisfies never;
    }
  };

  const fields = {
    method: z.enum(ways).default('totp'),
    code: z.string().max(200).optional(),
    answer: z.string().max(16_000).optional(),
  };
  const given = z.object(fields);
  const wantedOf = ({ method }: Readonly<Record<string, string>>) =>
    ways.find((way) => way === method) ?? null;
  return [
    get('/verify', 'first-factor', async ({ query, ...visit }) => {
      const home = await signposts.homeOf(visit.session);
      if (home !== '/verify') return redirect(home);
      return await form({ ...visit, purpose: null }, wantedOf(query));
    }),
    post('/verify', 'first-factor', fields, async ({ body, ...visit }) => {
      const home = await signposts.homeOf(visit.session);
      if (home !== '/verify') return redirect(home);
      return await check({ ...visit, purpose: null }, body);
    }),
    get('/confirm/:purpose', 'full', async ({ query, ...visit }) =>
      destinationOf(visit.purpose) === null ? { kind: 'not-found' } : await form(visit, wantedOf(query)),
    ),
    post('/confirm/:purpose', 'full', fields, async ({ body, ...visit }) =>
      destinationOf(visit.purpose) === null ? { kind: 'not-found' } : await check(visit, body),
    ),
  ];
}

/** Where the person was going. */
function placeAfter({ purpose }: Confirming): string {
  return (purpose === null ? null : destinationOf(purpose)) ?? '/app-passwords';
}

function pathOf(purpose: string | null): string {
  return purpose === null ? '/verify' : `/confirm/${purpose}`;
}

function wordsOf(way: CodeWay, t: Texts): { readonly wrong: string; readonly length: string } {
  switch (way) {
    case 'email':
      return t.emailCode;
    case 'recovery':
      return { wrong: t.confirm.recoveryWrong, length: t.confirm.recoveryLength };
    case 'totp':
      return { wrong: t.codeWrong, length: t.codeLength };
    default:
      return way satisfies never;
  }
}
