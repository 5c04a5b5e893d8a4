import { z } from 'zod';
import type { Account } from '../../store/schema.ts';
import type { Languages } from '../language.ts';
import { post, type Route, redirect } from '../route.ts';

/** The switch at the foot of every page. It carries no token: what it changes is the browser's own, and Origin is checked. */
export function languageRoutes(parts: {
  readonly languages: Languages;
  /** Whether a path is a page, so that nobody is sent to where only a form can go. */
  readonly isPage: (path: string) => boolean;
  /** For the mails to come. */
  readonly remember: (account: Account, tag: string) => Promise<void>;
}): readonly Route[] {
  const { languages, isPage, remember } = parts;
  return [
    post(
      '/language',
      'anyone',
      { language: z.string().max(8), to: z.string().max(200) },
      async ({ session, body }) => {
        const language = languages.find(body.language);
        if (language === null) return redirect('/');
        if (session.level === 'full' || session.level === 'stepped-up') {
          await remember(session.account, language.tag);
        }
        return { kind: 'redirect', to: isPage(body.to) ? body.to : '/', language: language.tag };
      },
    ),
  ];
}
