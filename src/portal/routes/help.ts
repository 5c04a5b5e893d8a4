import { guideNames } from '../client-setup/guide-texts.ts';
import { guideView, type OfferedPort, offeredGuides, offeredPorts } from '../client-setup/guides.ts';
import type { MailSettings } from '../client-setup/mail-settings.ts';
import type { SettingLine } from '../client-setup/view-data.ts';
import type { Texts } from '../locales/en.ts';
import { get, page, type Route, type SessionAt } from '../route.ts';

/** How each mail program is set up: for everybody, with the own address filled in for who is signed in. */
export function helpRoutes({ settings }: { readonly settings: MailSettings }): readonly Route[] {
  const { host } = settings;
  return [
    get('/help', 'anyone', async ({ session, language: { texts: t } }) => {
      const guides = offeredGuides(settings).map((name) => ({
        href: `/help/${name}`,
        name: t.guides[name].name,
        hint: t.guides[name].hint,
      }));
      const lines = offeredPorts(settings).map((offered) => lineOf(offered, t));
      return page({ view: 'help', data: { host, user: userOf(session), lines, guides } });
    }),
    ...guideNames.map((name) =>
      get(`/help/${name}`, 'anyone', async ({ session, language: { texts: t } }) => {
        const guide = guideView(name, settings, userOf(session), t);
        if (guide === null) return { kind: 'not-found' };
        const otherPorts = guide.otherPorts.map((offered) => lineOf(offered, t));
        return page({ view: 'guide', data: { guide, otherPorts } });
      }),
    ),
  ];
}

function userOf(session: SessionAt['anyone']): string | null {
  return session.level === 'anonymous' ? null : session.account.address;
}

function lineOf({ protocol, service }: OfferedPort, { help: t }: Texts): SettingLine {
  const names = { imap: t.incoming, pop3: t.incomingPop3, smtp: t.outgoing };
  return { name: names[protocol], port: String(service.port), security: t.security[service.tls] };
}
