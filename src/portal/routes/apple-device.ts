import { z } from 'zod';
import type { Database } from '../../store/database.ts';
import { isPortalSessionThere } from '../../store/portal-sessions.ts';
import { deviceCharacters, type ProfileLinkActions } from '../actions/profile-links.ts';
import { offeredGuides } from '../client-setup/guides.ts';
import type { MailSettings } from '../client-setup/mail-settings.ts';
import type { IssuedProfile, ProfileIssuer } from '../client-setup/profile-issuer.ts';
import type { ProfileLinks } from '../client-setup/profile-links.ts';
import type { Language } from '../language.ts';
import { deviceKindOf, isDeviceKind } from '../mail-app.ts';
import type { Notices } from '../notices.ts';
import { qrImage } from '../qr-image.ts';
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
import type { Problem } from '../views.ts';

const profileType = 'application/x-apple-aspen-config';

/** Setting up Apple's devices by a profile: this one, or another one by a code on the screen. */
export function appleDeviceRoutes(parts: {
  readonly settings: MailSettings;
  readonly issuer: ProfileIssuer;
  readonly links: ProfileLinks;
  readonly notices: Notices;
  readonly actions: ProfileLinkActions;
  readonly now: () => number;
}): readonly Route[] {
  const { settings, issuer, links, notices, actions, now } = parts;
  const guide = offeredGuides(settings).includes('iphone-ipad') ? '/help/iphone-ipad' : null;

  const form = (device: string, problems: readonly Problem[], status = 200): Answer =>
    page({ view: 'apple-device', data: { device, isSigned: issuer.isSigned, guide, problems } }, status);

  const impossible = ({ texts: { profileLink: t } }: Language): Answer =>
    notices.notice(200, t.setUpTitle, [t.impossible], null);

  const codePage = async (
    session: SessionAt['full'],
    id: Buffer | null,
    { texts: { profileLink: t }, texts, formats }: Language,
  ): Promise<Answer> => {
    const row = id === null ? null : await links.find(session.account, id);
    if (row === null) return { kind: 'not-found' };
    const isOpen = row.used_at === null && row.not_after > now();
    const token = isOpen ? links.take(session, row.id) : null;
    const link = actions.linkOf(token ?? '');
    const until = formats.time(row.not_after);
    const by = isDeviceKind(row.used_by) ? texts.devices[row.used_by] : t.unknownBrowser;
    const said =
      row.used_at === null
        ? isOpen
          ? t.open(row.device, until)
          : t.over(row.device)
        : row.credential_id === null
          ? t.failed(row.device)
          : t.used(row.device, formats.time(row.used_at), by, row.used_address ?? '');
    const data = {
      id: row.id.toString('hex'),
      heading: token === null ? t.statusTitle : t.codeTitle,
      code: token === null ? null : { qr: await qrImage(link), link },
      said: token === null ? said : t.codeLead(row.device, until),
      isOpen,
      revoke:
        row.credential_id === null ? null : `/app-passwords/${row.credential_id.toString('hex')}/revoke`,
    };
    return page({ view: 'device-code', data });
  };

  const linkForm = (problems: readonly Problem[], status = 200): Answer =>
    page({ view: 'profile-link', data: { problems } }, status);
  const linkOver = ({ texts: { profileLink: t } }: Language): Answer =>
    notices.notice(410, t.linkOver, [t.linkOverBody], null);

  return [
    getSteppedUp('/apple-device', 'apple-device', async ({ language, userAgent }) => {
      if (!issuer.isPossible) return impossible(language);
      const kind = deviceKindOf(userAgent);
      const isApple = kind === 'iphone' || kind === 'ipad' || kind === 'mac';
      return form(language.texts.devices[isApple ? kind : 'iphone'], []);
    }),
    postSteppedUp(
      '/apple-device',
      'apple-device',
      { device: z.string().max(1_000), way: z.enum(['here', 'other']) },
      async ({ session, body, language, peer }) => {
        const t = language.texts.profileLink;
        const checked = actions.check(session.account, body.device);
        if (checked.kind === 'impossible') return impossible(language);
        if (checked.kind !== 'ready') {
          return form(body.device.trim(), [{ field: 'device', text: deviceText(checked.kind, t) }], 422);
        }
        const { device } = checked;
        if (body.way === 'other') {
          const id = await links.create(session, device);
          return redirect(`/apple-device/${id.toString('hex')}`);
        }
        const { account, idHash } = session;
        const by = {
          actor: { kind: 'person', address: peer.address },
          isStill: async (transaction: Database) => isPortalSessionThere(transaction, account.id, idHash),
        } as const;
        const issued = await issuer.issue(account, device, by, language);
        if (issued.kind === 'issued') return fileOf(issued.profile);
        return form(device, [{ field: 'device', text: refusal(issued, t) }], 422);
      },
    ),
    get('/apple-device/:id', 'full', async ({ session, id, language }) => codePage(session, id, language)),
    post('/apple-device/:id/cancel', 'full', {}, async ({ session, id }) => {
      const row = id === null ? null : await links.find(session.account, id);
      if (row === null) return { kind: 'not-found' };
      await links.cancel(session.account, row.id);
      return redirect('/app-passwords');
    }),
    // The other device has no session, and must not need one.
    get('/p', 'anyone', async () => linkForm([])),
    post('/p', 'anyone', { code: z.string().max(1_000) }, async ({ body, language }) => {
      const code = codeOf(body.code);
      if (code === null) {
        return linkForm([{ field: 'code', text: language.texts.profileLink.linkInvalid }], 422);
      }
      const found = await links.look(code);
      if (found === null) return linkOver(language);
      const { device, account } = found;
      const data = { code, address: account.address, device, isSigned: issuer.isSigned };
      return page({ view: 'profile-install', data });
    }),
    post(
      '/p/profile',
      'anyone',
      { code: z.string().max(100) },
      async ({ body, language, peer, userAgent }) => {
        const redeemer = { address: peer.address, by: deviceKindOf(userAgent), language };
        const issued = await links.redeem(body.code, redeemer);
        switch (issued.kind) {
          case 'issued':
            return fileOf(issued.profile);
          case 'over':
          case 'not-allowed':
            return linkOver(language);
          case 'cap-reached':
          case 'too-many-recently': {
            const { profileLink: t } = language.texts;
            return notices.notice(409, t.linkFull, [refusal(issued, t), t.linkFullBody], null);
          }
          default:
            return issued satisfies never;
        }
      },
    ),
  ];
}

function deviceText(
  kind: 'missing-name' | 'bad-name' | 'not-allowed',
  t: Language['texts']['profileLink'],
): string {
  if (kind === 'missing-name') return t.noDevice;
  return kind === 'bad-name' ? t.badDevice(deviceCharacters) : t.notAllowed;
}

function refusal(
  issued: Exclude<IssuedProfile, { kind: 'issued' }>,
  t: Language['texts']['profileLink'],
): string {
  switch (issued.kind) {
    case 'cap-reached':
      return t.limit(issued.cap);
    case 'too-many-recently':
      return t.tooMany;
    case 'not-allowed':
      return t.notAllowed;
    default:
      return issued satisfies never;
  }
}

function fileOf(profile: Buffer): Answer {
  return { kind: 'file', type: profileType, filename: 'mail.mobileconfig', body: profile };
}

/** The token in a pasted code or whole link. */
function codeOf(text: string): string | null {
  return /(?:^|#)([A-Za-z0-9_-]{43})$/.exec(text.trim())?.[1] ?? null;
}
