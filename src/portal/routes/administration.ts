import { z } from 'zod';
import type { Config } from '../../config/schema.ts';
import { auditLine } from '../../credentials/audit-line.ts';
import type { AccountSummary } from '../../store/account-search.ts';
import { searchAccounts } from '../../store/account-search.ts';
import { pageAuditEntries } from '../../store/audit-pages.ts';
import type { Database } from '../../store/database.ts';
import type { RowGuard } from '../../store/row-guard.ts';
import { type AdministrationActions, administratorOf } from '../actions/administration.ts';
import { trailPlace, trailPlaceText } from '../actions/trail.ts';
import type { Language } from '../language.ts';
import { type Answer, administratorGet, administratorPost, page, type Route, redirect } from '../route.ts';
import { trailLine } from '../trail-texts.ts';
import type { Problem } from '../views.ts';

const accountsPerPage = 50;
const entriesPerPage = 50;
/** A file of so many entries is what a browser is given; `sallyport audit export` has no end. */
const entriesPerFile = 10_000;

/** Finding accounts, making one, and the audit trail. */
export function administrationRoutes(parts: {
  readonly config: Config;
  readonly database: Database;
  readonly guard: RowGuard;
  readonly administration: AdministrationActions;
  readonly now: () => number;
}): readonly Route[] {
  const { config, database, guard, administration, now } = parts;

  const accountsPage = async (
    language: Language,
    query: Readonly<Record<string, string>>,
    form: { readonly address: string; readonly problems: readonly Problem[] } = { address: '', problems: [] },
  ): Promise<Answer> => {
    const find = (query.find ?? '').trim().slice(0, 254);
    const found = await searchAccounts(database, guard, {
      text: find,
      after: query.after ?? null,
      limit: accountsPerPage + 1,
    });
    const accounts = found.slice(0, accountsPerPage);
    const last = accounts.at(-1);
    const data = {
      find,
      accounts: accounts.map((account) => summaryOf(account, language, now())),
      more:
        found.length > accountsPerPage && last !== undefined
          ? `/administration?${new URLSearchParams({ find, after: last.address })}`
          : null,
      ...form,
    };
    return page({ view: 'accounts', data }, form.problems.length === 0 ? 200 : 422);
  };

  /** The account whose trail is meant; null: everybody's. What names nobody is not everybody. */
  const subjectOf = async ({ account }: Readonly<Record<string, string>>) => {
    if (account === undefined) return null;
    const id = /^[0-9a-f]{32}$/.test(account) ? Buffer.from(account, 'hex') : null;
    return (id === null ? null : await administration.find(id)) ?? 'nobody';
  };

  return [
    administratorGet('/administration', async ({ language, query }) => accountsPage(language, query)),
    administratorPost(
      '/administration/accounts',
      'administer-accounts',
      { address: z.string().max(1_000) },
      async ({ session, language, body, peer }) => {
        const order = { actor: administratorOf(session, peer), reason: undefined };
        const made = await administration.create(body.address.trim(), order);
        if (made !== null) return redirect(`/administration/accounts/${made.account.id.toString('hex')}`);
        const text = language.texts.administration.accounts.badAddress;
        return await accountsPage(
          language,
          {},
          {
            address: body.address,
            problems: [{ field: 'address', text }],
          },
        );
      },
    ),
    administratorGet('/administration/trail', async ({ session, language, query, peer }) => {
      const t = language.texts.administration;
      const subject = await subjectOf(query);
      if (subject === 'nobody') return { kind: 'not-found' };
      if (subject !== null) await administration.look(session, subject, peer);
      const found = await pageAuditEntries(
        database,
        trailPlace(query.before),
        subject?.account.id ?? null,
        entriesPerPage + 1,
      );
      const entries = found.slice(0, entriesPerPage);
      const last = entries.at(-1);
      const of = subject === null ? '' : `account=${subject.account.id.toString('hex')}`;
      const data = {
        heading: subject === null ? t.trail.all : t.trail.of(subject.account.address),
        entries: entries.map((entry) => trailLine(entry, language, config)),
        older:
          found.length > entriesPerPage && last !== undefined
            ? `/administration/trail?${of}${of === '' ? '' : '&'}before=${encodeURIComponent(trailPlaceText(last))}`
            : null,
        download: config.portal.administratorsSeeAddresses
          ? `/administration/trail.jsonl${of === '' ? '' : `?${of}`}`
          : null,
        back:
          subject === null
            ? { href: '/administration', label: t.accounts.title }
            : {
                href: `/administration/accounts/${subject.account.id.toString('hex')}`,
                label: t.account.back,
              },
      };
      return page({ view: 'trail', data });
    }),
    administratorGet('/administration/trail.jsonl', async ({ session, query, peer }) => {
      // Its lines are what the chain was made of: nothing can be left out of them (S-95).
      if (!config.portal.administratorsSeeAddresses) return { kind: 'not-found' };
      const subject = await subjectOf(query);
      if (subject === 'nobody') return { kind: 'not-found' };
      if (subject !== null) await administration.look(session, subject, peer);
      const rows = await pageAuditEntries(database, null, subject?.account.id ?? null, entriesPerFile);
      return {
        kind: 'file',
        type: 'application/jsonl',
        filename: 'audit-trail.jsonl',
        body: Buffer.from(
          rows
            .toReversed()
            .map((row) => `${auditLine(row)}\n`)
            .join(''),
        ),
      };
    }),
  ];
}

function summaryOf(account: AccountSummary, { texts, formats }: Language, now: number) {
  const t = texts.administration.accounts;
  return {
    href: `/administration/accounts/${account.id.toString('hex')}`,
    address: account.address,
    state: account.isGenuine ? account.state : ('forged' as const),
    facts: [
      t.appPasswords(formats.number(account.liveAppPasswords)),
      account.lastUsedAt === null ? t.neverUsed : t.lastUsed(formats.ago(now - account.lastUsedAt)),
      account.isEnrolled ? t.enrolled : t.notEnrolled,
    ],
  };
}
