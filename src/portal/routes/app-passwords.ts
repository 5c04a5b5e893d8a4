import { z } from 'zod';
import type { Config } from '../../config/schema.ts';
import type { AppPasswords, AppPasswordView } from '../../credentials/app-passwords.ts';
import type { Logger } from '../../observability/logger.ts';
import type { Texts } from '../locales/en.ts';
import { guessMailApp, type MailApp, mailApps, mailPorts } from '../mail-app.ts';
import type { Notices } from '../notices.ts';
import type { Reveals } from '../reveals.ts';
import {
  type Answer,
  get,
  getSteppedUp,
  page,
  post,
  postSteppedUp,
  type Route,
  redirect,
  type SessionAt,
} from '../route.ts';
import type { Guide, ListEntry, Problem } from '../views.ts';

/** requirements 4.3 */
const createdPerHour = 10;
/** Together with the app's name it stays below what a label may have. */
const deviceCharacters = 50;

interface Choices {
  readonly app: MailApp | null;
  readonly device: string;
  readonly imap: boolean;
  readonly smtp: boolean;
}

/** Create, show once, list, revoke. Every app password is looked up by its id and the session's account (S-67). */
export function appPasswordRoutes(parts: {
  readonly config: Config;
  readonly appPasswords: AppPasswords;
  readonly reveals: Reveals;
  readonly notices: Notices;
  readonly logger: Logger;
  readonly texts: Texts;
  readonly now: () => number;
}): readonly Route[] {
  const { config, appPasswords, reveals, notices, logger, texts: t, now } = parts;

  const findOwn = async (session: SessionAt['full'], id: Buffer | null): Promise<AppPasswordView | null> => {
    const found = id === null ? null : await appPasswords.find(id);
    return found?.accountId.equals(session.account.id) === true ? found : null;
  };

  const createPage = async (
    session: SessionAt['full'],
    choices: Choices,
    problems: readonly Problem[],
    status = 200,
  ): Promise<Answer> => {
    const isFirst = (await appPasswords.list(session.account.id)).length === 0;
    const apps = mailApps.map((value) => ({ value, name: t.apps[value].name, hint: t.apps[value].hint }));
    return page({ view: 'create', data: { isFirst, apps, ...choices, problems } }, status);
  };

  const create = async (session: SessionAt['stepped-up'], choices: Choices): Promise<Answer> => {
    const problems = problemsOf(choices, t);
    const { app, device, imap, smtp } = choices;
    if (problems.length > 0 || app === null) return await createPage(session, choices, problems, 422);
    const refuse = async (text: string) =>
      await createPage(session, choices, [{ field: 'device', text }], 422);
    const { account } = session;
    const existing = await appPasswords.list(account.id);
    if (existing.filter((each) => each.createdAt > now() - 3_600_000).length >= createdPerHour) {
      return await refuse(t.create.tooMany);
    }
    const created = await appPasswords.create({
      account,
      label: t.create.label(app === 'other' ? null : t.apps[app].name, device),
      scopes: [...(imap ? (['imap'] as const) : []), ...(smtp ? (['smtp'] as const) : [])],
      networks: [],
      expiresInMs: undefined,
      createdBy: 'portal',
    });
    switch (created.kind) {
      case 'created': {
        const id = created.id.toString('hex');
        logger.info(
          { event: 'app-password-created', account: account.address, credential: id },
          'app password created',
        );
        reveals.hold(session, created.id, { secret: created.secret, app, isFirst: existing.length === 0 });
        return redirect(`/app-passwords/${id}/secret`);
      }
      case 'cap-reached':
        return await refuse(t.create.limit(created.cap));
      case 'invalid':
        return await refuse(t.create.failed);
      default:
        return created satisfies never;
    }
  };

  const secretPage = async (session: SessionAt['full'], id: Buffer | null): Promise<Answer> => {
    const own = await findOwn(session, id);
    if (own === null) return { kind: 'not-found' };
    const reveal = reveals.take(session, own.id);
    if (reveal === null) return notices.alreadyShown();
    const ports = mailPorts(config);
    const settings = { host: config.hostname, user: session.account.address, ...ports };
    const guides: readonly Guide[] = mailApps.map((app) => ({
      name: t.apps[app].guide,
      steps: t.apps[app].steps(settings),
      isOpen: app === reveal.app,
    }));
    const data = {
      label: own.label,
      groups: reveal.groups,
      isFirst: reveal.isFirst,
      user: session.account.address,
      host: config.hostname,
      imapPort: own.scopes.includes('imap') ? ports.imapPort : null,
      smtpPort: own.scopes.includes('smtp') ? ports.smtpPort : null,
      guides,
    };
    return page({ view: 'secret', data });
  };

  const listPage = async (session: SessionAt['full'], revoked: string | null): Promise<Answer> => {
    const all = await appPasswords.list(session.account.id);
    const entries = all.map((each) => entryOf(each, t, now()));
    const justRevoked = entries.find((each) => each.id === revoked && each.state === 'revoked');
    const live = entries.filter((each) => each.state !== 'revoked');
    const most = config.appPasswords.maxPerAccount;
    const data = {
      live,
      ended: entries.filter((each) => each.state === 'revoked'),
      done:
        revoked === 'all' && live.length === 0
          ? t.list.revokedAll
          : justRevoked === undefined
            ? null
            : t.list.revoked(justRevoked.label),
      limit: live.filter((each) => each.state === 'active').length >= most ? t.create.limit(most) : null,
      canRevokeAll: live.length > 1,
    };
    return page({ view: 'list', data });
  };

  const checkbox = z.literal('on').optional();
  const fields = {
    app: z.enum(mailApps).optional(),
    device: z.string().max(1_000),
    imap: checkbox,
    smtp: checkbox,
  };
  return [
    get('/app-passwords', 'full', async ({ session, revoked }) => await listPage(session, revoked)),
    getSteppedUp('/app-passwords/new', 'create', async ({ session, userAgent }) =>
      createPage(session, { ...guessMailApp(userAgent, t), imap: true, smtp: true }, []),
    ),
    postSteppedUp('/app-passwords/new', 'create', fields, async ({ session, body }) =>
      create(session, {
        app: body.app ?? null,
        device: body.device.trim(),
        imap: body.imap === 'on',
        smtp: body.smtp === 'on',
      }),
    ),
    get('/app-passwords/:id/secret', 'full', async ({ session, id }) => await secretPage(session, id)),
    get('/app-passwords/:id/revoke', 'full', async ({ session, id }) => {
      const own = await findOwn(session, id);
      if (own === null) return { kind: 'not-found' };
      if (own.state === 'revoked') return redirect('/app-passwords');
      const data = {
        action: `/app-passwords/${own.id.toString('hex')}/revoke`,
        heading: t.revoke.title(own.label),
        body: t.revoke.body,
        submit: t.revoke.button,
        keep: t.revoke.keep,
      };
      return page({ view: 'revoke', data });
    }),
    post('/app-passwords/:id/revoke', 'full', {}, async ({ session, id }) => {
      if (id === null) return { kind: 'not-found' };
      const outcome = await appPasswords.revoke(session.account.id, id, 'revoked in the portal');
      if (outcome === 'not-found') return { kind: 'not-found' };
      const credential = id.toString('hex');
      logger.info({ event: 'app-password-revoked', account: session.account.address, credential }, 'revoked');
      return redirect(`/app-passwords?revoked=${credential}`);
    }),
    getSteppedUp('/app-passwords/revoke-all', 'revoke-all', async () => {
      const data = {
        action: '/app-passwords/revoke-all',
        heading: t.revoke.titleAll,
        body: t.revoke.bodyAll,
        submit: t.revoke.all,
        keep: t.revoke.keepAll,
      };
      return page({ view: 'revoke', data });
    }),
    postSteppedUp('/app-passwords/revoke-all', 'revoke-all', {}, async ({ session }) => {
      const count = await appPasswords.revokeAll(session.account.id, 'all revoked in the portal');
      logger.info({ event: 'app-passwords-revoked', account: session.account.address, count }, 'all revoked');
      return redirect('/app-passwords?revoked=all');
    }),
  ];
}

function problemsOf({ app, device, imap, smtp }: Choices, { create: t }: Texts): readonly Problem[] {
  const problems: Problem[] = [];
  if (app === null) problems.push({ field: 'app-outlook', text: t.noApp });
  if (device === '') problems.push({ field: 'device', text: t.noDevice });
  else if (device.length > deviceCharacters || /\p{C}/u.test(device)) {
    problems.push({ field: 'device', text: t.badDevice(deviceCharacters) });
  }
  if (!imap && !smtp) problems.push({ field: 'scope-imap', text: t.noScope });
  return problems;
}

function entryOf(view: AppPasswordView, t: Texts, now: number): ListEntry {
  return {
    id: view.id.toString('hex'),
    label: view.label,
    state: view.state,
    allowed: view.scopes.map((scope) => t.list.scopes[scope]).join(', '),
    created: t.date(view.createdAt),
    lastUsed:
      view.lastUsedAt === null
        ? t.list.neverUsed
        : t.list.usedFrom(t.ago(now - view.lastUsedAt), view.lastUsedProtocol, view.lastUsedAddress),
    expires: view.notAfter === null ? null : t.date(view.notAfter),
  };
}
