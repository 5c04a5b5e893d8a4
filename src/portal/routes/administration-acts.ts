import { z } from 'zod';
import type { AppPasswords } from '../../credentials/app-passwords.ts';
import { formatRecoveryCode } from '../../identity/second-factor/recovery-code.ts';
import {
  type Act,
  type AdministrationActions,
  administratorOf,
  fates,
  maxReason,
  policies,
  reasonOf,
  type Subject,
} from '../actions/administration.ts';
import { isDangerous } from '../administration-texts.ts';
import type { Language } from '../language.ts';
import type { Notices } from '../notices.ts';
import {
  type Answer,
  administratorGetSteppedUp,
  administratorPost,
  page,
  type Route,
  redirect,
} from '../route.ts';
import type { Problem } from '../views.ts';

interface Typed {
  readonly reason: string;
  readonly choice: string;
  readonly credential: string;
}

/** One page for each thing that can be done: what it means, what has to be said, and the button. */
export function administrationActRoutes(parts: {
  readonly administration: AdministrationActions;
  readonly appPasswords: AppPasswords;
  readonly notices: Notices;
}): readonly Route[] {
  const { administration, appPasswords, notices } = parts;

  const askPage = async (
    { account }: Subject,
    name: Act['name'],
    language: Language,
    typed: Typed,
    problems: readonly Problem[],
  ): Promise<Answer> => {
    const t = language.texts.administration;
    const words = t.acts[name];
    const credential = credentialOf(name, typed.credential);
    const found = credential === null ? null : await appPasswords.find(credential);
    if (isAboutAppPassword(name) && found?.accountId.equals(account.id) !== true)
      return { kind: 'not-found' };
    const back = `/administration/accounts/${account.id.toString('hex')}`;
    const data = {
      action: `${back}/${name}`,
      heading: t.act.title(
        words.button,
        found === null ? account.address : `${found.label} (${account.address})`,
      ),
      body: words.body,
      submit: words.button,
      isDangerous: isDangerous(name),
      credential: credential?.toString('hex') ?? null,
      choice: choiceOf(name, typed.choice, language),
      reason: typed.reason,
      back,
      problems,
    };
    return page({ view: 'administer', data }, problems.length === 0 ? 200 : 422);
  };

  const fields = {
    reason: z.string().max(1_000),
    choice: z.string().max(20).optional(),
    credential: z.string().max(64).optional(),
  };
  return [
    administratorGetSteppedUp(
      '/administration/accounts/:id/:purpose',
      'administer',
      async ({ session, id, purpose, language, query }) => {
        const subject = await administration.findOther(session.account, id);
        if (subject === null || !isActName(purpose)) return { kind: 'not-found' };
        const typed = { reason: '', choice: '', credential: query.credential ?? '' };
        return await askPage(subject, purpose, language, typed, []);
      },
    ),
    administratorPost(
      '/administration/accounts/:id/:purpose',
      'administer',
      fields,
      async ({ session, id, purpose, language, body, peer }) => {
        const subject = await administration.findOther(session.account, id);
        if (subject === null || !isActName(purpose)) return { kind: 'not-found' };
        const { choice = '', credential = '' } = body;
        const typed = { choice, credential, reason: body.reason };
        const said = reasonOf(body.reason);
        const { texts, formats } = language;
        const t = texts.administration;
        const act = actOf(purpose, typed);
        const problems: Problem[] = [];
        if (said === 'missing') problems.push({ field: 'reason', text: t.act.noReason });
        if (said === 'too-long') problems.push({ field: 'reason', text: t.act.longReason(maxReason) });
        if (act === null) {
          if (isAboutAppPassword(purpose)) return { kind: 'not-found' };
          problems.push({ field: 'choice', text: purpose === 'mfa' ? t.act.noPolicy : t.act.noFate });
        }
        if (problems.length > 0 || act === null || typeof said === 'string') {
          return await askPage(subject, purpose, language, typed, problems);
        }
        const actor = administratorOf(session, peer);
        const outcome = await administration.perform(act, { ...subject, actor, ...said });
        const back = `/administration/accounts/${subject.account.id.toString('hex')}`;
        const toAccount = { href: back, label: t.account.back };
        switch (outcome.kind) {
          case 'done':
            return redirect(`${back}?done=${act.name}`);
          case 'code': {
            const groups = formatRecoveryCode(outcome.secret).split('-');
            outcome.secret.wipe();
            const data = {
              lead: t.code.lead(subject.account.address),
              groups,
              until: t.code.until(formats.dateTime(outcome.until)),
              back,
            };
            return page({ view: 'enrollment-code', data });
          }
          case 'enrolled':
            return notices.notice(409, t.code.title, [t.code.none], toAccount);
          case 'refused':
            return notices.notice(409, t.acts[act.name].button, [t.act.failed], toAccount);
          case 'not-found':
            return outcome;
          default:
            return outcome satisfies never;
        }
      },
    ),
  ];
}

const actNames: ReadonlySet<string> = new Set<Act['name']>([
  'disable',
  'enable',
  'mfa',
  'reset-factors',
  'password-changed',
  'revoke-all',
  'end-sessions',
  'enrollment-code',
  'pause',
  'resume',
  'revoke',
]);

function isActName(text: string): text is Act['name'] {
  return actNames.has(text);
}

function isAboutAppPassword(name: Act['name']): name is 'pause' | 'resume' | 'revoke' {
  return name === 'pause' || name === 'resume' || name === 'revoke';
}

function credentialOf(name: Act['name'], typed: string): Buffer | null {
  return isAboutAppPassword(name) && /^[0-9a-f]{32}$/.test(typed) ? Buffer.from(typed, 'hex') : null;
}

/** null where something has not been said. */
function actOf(name: Act['name'], typed: Typed): Act | null {
  switch (name) {
    case 'mfa': {
      const policy = policies.find((each) => each === typed.choice);
      return policy === undefined ? null : { name, policy };
    }
    case 'reset-factors':
    case 'password-changed': {
      const appPasswords = fates.find((each) => each === typed.choice);
      return appPasswords === undefined ? null : { name, appPasswords };
    }
    case 'pause':
    case 'resume':
    case 'revoke': {
      const credential = credentialOf(name, typed.credential);
      return credential === null ? null : { name, credential };
    }
    default:
      return { name };
  }
}

function choiceOf(name: Act['name'], chosen: string, { texts }: Language) {
  const t = texts.administration;
  if (name === 'mfa') {
    const options = policies.map((value) => ({ value, label: t.policies[value] }));
    return { legend: t.act.policy, options, chosen };
  }
  if (name !== 'reset-factors' && name !== 'password-changed') return null;
  const options = fates.map((value) => ({ value, label: t.act[value] }));
  return { legend: t.act.appPasswords, options, chosen };
}
