import type { Config } from '../../config/schema.ts';
import type { AppPasswordView } from '../../credentials/app-passwords.ts';
import type { Factors } from '../../identity/second-factor/factors.ts';
import type { AppPasswordActions } from '../actions/app-passwords.ts';
import { workingOf } from '../app-password-texts.ts';
import type { GuideName } from '../client-setup/guide-texts.ts';
import { guideView, offeredPorts } from '../client-setup/guides.ts';
import { mailSettings } from '../client-setup/mail-settings.ts';
import { thunderbirdQr } from '../client-setup/thunderbird-qr.ts';
import type { MailApp } from '../mail-app.ts';
import type { Notices } from '../notices.ts';
import { qrImage } from '../qr-image.ts';
import { recoveryNag } from '../recovery-nag.ts';
import type { Reveals } from '../reveals.ts';
import { type Answer, get, page, type Route, type Visit } from '../route.ts';

/** The one look at a fresh app password, with everything that is needed to put it to use (S-70). */
export function secretRoutes(parts: {
  readonly config: Config;
  readonly actions: AppPasswordActions;
  readonly factors: Factors;
  readonly reveals: Reveals;
  readonly notices: Notices;
  readonly now: () => number;
}): readonly Route[] {
  const { config, actions, factors, reveals, notices, now } = parts;
  const settings = mailSettings(config);

  const secretPage = async ({ session, language, id, userAgent }: Visit<'full', object>): Promise<Answer> => {
    const { account } = session;
    const own = await actions.find(account, id);
    if (own === null) return { kind: 'not-found' };
    const reveal = reveals.take(session, own.id);
    const place = `/app-passwords/${own.id.toString('hex')}`;
    if (reveal === null) return notices.alreadyShown(language, place, workingOf(own, language, now()));
    const { texts: t, formats } = language;
    const names = { imap: t.help.incoming, pop3: t.help.incomingPop3, smtp: t.help.outgoing };
    const guide = guideView(guideFor(reveal.app, own.label, userAgent), settings, account.address, t);
    const wantsCodes = reveal.isFirst && (await recoveryNag(factors, account, language)) !== null;
    const data = {
      label: own.label,
      groups: reveal.groups,
      isFirst: reveal.isFirst,
      user: account.address,
      services: offeredPorts(settings)
        .filter(({ protocol }) => own.scopes.includes(protocol))
        .map(({ protocol, service }) => ({
          name: names[protocol],
          host: settings.host,
          port: t.secret.endpoint(service.port, t.help.security[service.tls]),
        })),
      guide,
      thunderbird: reveal.app === 'other' ? await thunderbirdOf(own, account.address, reveal.groups) : null,
      useBy: own.firstUseBy === null ? null : formats.dateTime(own.firstUseBy),
      place,
      // People came for the app password; what saves them when the phone is lost comes right after it.
      done: wantsCodes ? '/recovery-codes' : '/app-passwords',
    };
    return page({ view: 'secret', data });
  };

  /** The account for Thunderbird on Android, with the secret; null where the app password or the server is too little for it. */
  const thunderbirdOf = async (
    { scopes }: AppPasswordView,
    address: string,
    groups: readonly string[],
  ): Promise<string | null> => {
    if (!scopes.includes('imap') || !scopes.includes('smtp')) return null;
    const code = thunderbirdQr(address, groups.join(''), settings);
    return code === null ? null : await qrImage(code);
  };

  return [get('/app-passwords/:id/secret', 'full', secretPage)];
}

/** The guide for an app on the device it is most likely on: by the label, which the person chose, else by the browser. */
function guideFor(app: MailApp, label: string, userAgent: string): GuideName {
  const isOn = (device: RegExp) => device.test(label) || device.test(userAgent);
  switch (app) {
    case 'outlook':
      return isOn(/\bmac/i) ? 'outlook-2016-mac' : 'outlook-2016-windows';
    case 'appleMail':
      return isOn(/iphone|ipad/i) || !isOn(/\bmac/i) ? 'iphone-ipad' : 'apple-mail-mac';
    case 'other':
      return isOn(/android/i) ? 'android' : 'thunderbird';
    default:
      return app satisfies never;
  }
}
