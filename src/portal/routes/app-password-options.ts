import { z } from 'zod';
import type { Config } from '../../config/schema.ts';
import type { AppPasswordView } from '../../credentials/app-passwords.ts';
import { holdOf } from '../../identity/second-factor/factors.ts';
import { problemsOfWish } from '../actions/app-password-wish.ts';
import type { AppPasswordActions } from '../actions/app-passwords.ts';
import {
  emptyValues,
  endOf,
  type FormValues,
  optionBody,
  optionFields,
  optionsForm,
  problemTexts,
  valuesOf,
  valuesOfView,
  wishOf,
} from '../app-password-form.ts';
import { endLines } from '../app-password-texts.ts';
import type { Language } from '../language.ts';
import type { Texts } from '../locales/en.ts';
import { guessMailApp, type MailApp, mailApps } from '../mail-app.ts';
import type { Notices } from '../notices.ts';
import type { Reveals } from '../reveals.ts';
import {
  type Answer,
  getSteppedUp,
  keepingDraft,
  page,
  postSteppedUp,
  type Route,
  redirect,
  type SessionAt,
} from '../route.ts';
import type { Problem } from '../views.ts';
import { asking, type Here } from './app-passwords.ts';

/** Together with the app's name it stays below what a label may have. */
const deviceCharacters = 50;

interface Choices {
  readonly app: MailApp | null;
  readonly device: string;
  readonly values: FormValues;
}

const createFields = {
  app: z.enum(mailApps).optional(),
  device: z.string().max(1_000),
  ...optionFields,
};
const createBody = z.object(createFields);

/** Create and change. What opens or loosens something needs a fresh factor (S-68). */
export function appPasswordOptionRoutes(parts: {
  readonly config: Config;
  readonly actions: AppPasswordActions;
  readonly reveals: Reveals;
  readonly notices: Notices;
  /** Whether a path is a page of ours. */
  readonly isPage: (path: string) => boolean;
  readonly now: () => number;
}): readonly Route[] {
  const { config, actions, reveals, notices, isPage, now } = parts;

  const createPage = async (
    session: SessionAt['full'],
    { texts: t }: Language,
    { app, device, values }: Choices,
    problems: readonly Problem[],
    status = 200,
  ): Promise<Answer> => {
    const isFirst = (await actions.list(session.account)).length === 0;
    const apps = mailApps.map((value) => ({ value, name: t.apps[value].name, hint: t.apps[value].hint }));
    const options = optionsForm(config, t, values, problems, null);
    const devices = Object.values(t.devices);
    const profile = isPage('/apple-device') ? '/apple-device' : null;
    return page(
      { view: 'create', data: { isFirst, apps, app, device, devices, profile, options, problems } },
      status,
    );
  };

  const create = async (visit: Here<z.output<typeof createBody>>): Promise<Answer> => {
    const { session, language } = visit;
    const t = language.texts;
    const choices = choicesOf(visit.body);
    const { app, device, values } = choices;
    const again = (problems: readonly Problem[]) => createPage(session, language, choices, problems, 422);
    const label = t.create.label(app === null || app === 'other' ? null : t.apps[app].name, device);
    const wish = wishOf(label, values);
    const own = ownProblems(app, device, t);
    if (own.length > 0) {
      const others = problemsOfWish(wish).filter(({ field }) => field !== 'label');
      return await again([...own, ...problemTexts(others, t, labelField(t))]);
    }
    const created = await actions.create(asking(visit), wish, endOf(values) ?? { kind: 'usual' });
    switch (created.kind) {
      case 'created':
        reveals.hold(session, created.id, {
          secret: created.secret,
          app: app ?? 'other',
          isFirst: created.isFirst,
        });
        return redirect(`/app-passwords/${created.id.toString('hex')}/secret`);
      case 'invalid':
        return await again(problemTexts(created.problems, t, labelField(t)));
      case 'cap-reached':
        return await again([{ field: 'device', text: t.create.limit(created.cap) }]);
      case 'too-many-recently':
        return await again([{ field: 'device', text: t.create.tooMany(created.perHour) }]);
      case 'held':
        return notices.held(language, created.until);
      case 'session-gone':
        return redirect('/sign-in', 'ended');
      case 'refused':
        return await again([{ field: 'device', text: t.create.failed }]);
      default:
        return created satisfies never;
    }
  };

  const changePage = (
    own: AppPasswordView,
    values: FormValues,
    language: Language,
    problems: readonly Problem[],
  ): Answer => {
    const t = language.texts;
    const { scopes } = own;
    const ends = endLines(own, language).join('; ');
    const options = optionsForm(config, t, values, problems, { scopes, ends });
    const heading = t.details.changeTitle(own.label);
    const data = { id: own.id.toString('hex'), heading, options, problems };
    return page({ view: 'change', data }, problems.length === 0 ? 200 : 422);
  };

  const unchangeable = (place: string, { texts }: Language): Answer =>
    notices.notice(409, texts.details.change, [texts.details.unchangeable], {
      href: place,
      label: texts.secret.details,
    });

  const change = async (visit: Here<z.output<typeof optionBody>>): Promise<Answer> => {
    const { session, language, id } = visit;
    const own = await actions.find(session.account, id);
    if (own === null) return { kind: 'not-found' };
    const place = `/app-passwords/${own.id.toString('hex')}`;
    if (own.fence === null) return unchangeable(place, language);
    const values = valuesOf(visit.body);
    const wish = wishOf(own.label, values, own.fence);
    const outcome = await actions.change(asking(visit), own.id, wish, endOf(values));
    switch (outcome.kind) {
      case 'changed':
        return redirect(outcome.isChanged ? `${place}?done=changed` : place);
      case 'invalid': {
        const t = language.texts;
        return changePage(own, values, language, problemTexts(outcome.problems, t, labelField(t)));
      }
      case 'not-found':
        return outcome;
      case 'revoked':
        return redirect(place);
      case 'unchangeable':
        return unchangeable(place, language);
      default:
        return outcome satisfies never;
    }
  };

  return [
    getSteppedUp('/app-passwords/new', 'create', async ({ session, language, userAgent, draft }) => {
      const hold = holdOf(session.account, now());
      if (hold !== null) return notices.held(language, hold);
      const kept = createBody.safeParse(draft);
      const choices = kept.success
        ? choicesOf(kept.data)
        : { ...guessMailApp(userAgent, language.texts), values: emptyValues(config) };
      return await createPage(session, language, choices, []);
    }),
    keepingDraft(postSteppedUp('/app-passwords/new', 'create', createFields, create)),
    getSteppedUp('/app-passwords/:id/change', 'change', async ({ session, language, id, draft }) => {
      const own = await actions.find(session.account, id);
      if (own === null) return { kind: 'not-found' };
      const place = `/app-passwords/${own.id.toString('hex')}`;
      if (own.state === 'revoked') return redirect(place);
      const kept = optionBody.safeParse(draft);
      const values = kept.success ? valuesOf(kept.data) : valuesOfView(own);
      return values === null ? unchangeable(place, language) : changePage(own, values, language, []);
    }),
    keepingDraft(postSteppedUp('/app-passwords/:id/change', 'change', optionFields, change)),
  ];
}

function choicesOf(body: z.output<typeof createBody>): Choices {
  return { app: body.app ?? null, device: body.device.trim(), values: valuesOf(body) };
}

/** Of the two fields that make the name. */
function ownProblems(app: MailApp | null, device: string, { create: t }: Texts): readonly Problem[] {
  const problems: Problem[] = [];
  if (app === null) problems.push({ field: 'app-outlook', text: t.noApp });
  if (device === '') problems.push({ field: 'device', text: t.noDevice });
  else if (device.length > deviceCharacters || /\p{C}/u.test(device)) {
    problems.push({ field: 'device', text: t.badDevice(deviceCharacters) });
  }
  return problems;
}

function labelField({ create: t }: Texts) {
  return { field: 'device', most: deviceCharacters, missing: t.noDevice };
}
