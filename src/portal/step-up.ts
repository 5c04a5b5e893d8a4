/** Pages that need a fresh second factor (S-68), by what they are for. */
const pages = {
  create: '/app-passwords/new',
  'revoke-all': '/app-passwords/revoke-all',
  change: '/app-passwords/:id/change',
  resume: '/app-passwords/:id/resume',
  'apple-device': '/apple-device',
  'add-method': '/methods/add',
  method: '/methods/:id',
  'remove-method': '/methods/:id/remove',
  'recovery-codes': '/recovery-codes',
  administer: '/administration/accounts/:id',
  'administer-accounts': '/administration',
} as const;

/** What a stale second factor is asked for: where the person goes after showing it. */
export type StepUpPurpose = keyof typeof pages;

/** Where a factor is shown for a page. The id of one that has one goes along: `change-` and 32 hexadecimal digits. */
export function confirmPath(purpose: StepUpPurpose, id: Buffer | null): string {
  const hasId = pages[purpose].includes(':id') && id !== null;
  return `/confirm/${purpose}${hasId ? `-${id.toString('hex')}` : ''}`;
}

/** The page that the `:purpose` of /confirm leads to; null where it names none. Never a path from outside. */
export function destinationOf(purpose: string): string | null {
  const [, name = '', id] = /^([a-z-]+?)(?:-([0-9a-f]{32}))?$/.exec(purpose) ?? [];
  if (!Object.hasOwn(pages, name)) return null;
  const page = pages[name as StepUpPurpose];
  if (page.includes(':id') !== (id !== undefined)) return null;
  return page.replace(':id', id ?? '');
}
