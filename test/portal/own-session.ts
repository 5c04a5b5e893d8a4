import type { NodeSession, SessionDirectory } from '../../src/credentials/session-directory.ts';
import type { Account } from '../../src/store/schema.ts';
import { tester } from '../support/journal.ts';
import { type Bed, Browser } from './bed.ts';

/** A browser that has just shown a second factor. */
export async function signedIn(bed: Bed, account: Account): Promise<Browser> {
  const browser = new Browser(bed);
  const full = await bed.sessions.stepUp((await bed.sessions.startFirstFactor(account)).session);
  if (full === null) throw new Error('the session was gone');
  browser.show(full);
  return browser;
}

/** An app password of the account; answers its id. */
export async function issue(
  bed: Bed,
  account: Account,
  label: string,
  more: Partial<Parameters<Bed['appPasswords']['create']>[0]> = {},
): Promise<Buffer> {
  const created = await bed.appPasswords.create({
    account,
    label,
    scopes: ['imap', 'smtp'],
    networks: [],
    expiresInMs: null,
    unusedAfterMs: null,
    createdBy: 'portal',
    actor: tester,
    isByOperator: true,
    ...more,
  });
  if (created.kind !== 'created') throw new Error(created.kind);
  created.secret.wipe();
  return created.id;
}

/** A row as a login writes it behind itself. */
export async function markUsed(
  bed: Bed,
  id: Buffer,
  use: { readonly at: number; readonly client: string | null },
): Promise<void> {
  await bed.database
    .updateTable('app_password')
    .set({
      last_used_at: use.at,
      last_used_address: '192.0.2.14',
      last_used_protocol: 'imap',
      last_used_client: use.client,
    })
    .where('id', '=', id)
    .execute();
}

/** Live sessions as the nodes tell of them. */
export class OpenSessions implements SessionDirectory {
  silent: string[] = [];
  readonly #open = new Map<string, { readonly view: NodeSession; readonly accountId: string }>();

  open(account: Account, id: string, credential: Buffer, more: Partial<NodeSession> = {}): void {
    const view: NodeSession = {
      id,
      protocol: 'imap',
      account: account.address,
      credential: credential.toString('hex'),
      peerAddress: '192.0.2.14',
      network: '192.0.2.14/32',
      since: Date.UTC(2026, 0, 1, 8),
      client: 'Thunderbird 128.4',
      mechanism: 'PLAIN',
      security: 'tls',
      backend: 'office',
      bytesUp: 1,
      bytesDown: 1,
      state: 'open',
      node: 'one',
      ...more,
    };
    this.#open.set(id, { view, accountId: account.id.toString('hex') });
  }

  ids(): readonly string[] {
    return [...this.#open.keys()];
  }

  list(filter: Parameters<SessionDirectory['list']>[0]) {
    const sessions = this.#matching(filter).map(({ view }) => view);
    return Promise.resolve({ sessions, omitted: 0, silent: this.silent, isAlone: false });
  }

  end(filter: Parameters<SessionDirectory['end']>[0]) {
    const meant = this.#matching(filter);
    for (const { view } of meant) this.#open.delete(view.id);
    return Promise.resolve({ ended: meant.length, silent: this.silent, isAlone: false });
  }

  #matching(filter: Parameters<SessionDirectory['list']>[0]) {
    if (filter.by !== 'owner') throw new Error(`people do not ask by ${filter.by}`);
    return [...this.#open.values()].filter(
      ({ view, accountId }) =>
        accountId === filter.accountId &&
        (filter.session === null || filter.session === view.id) &&
        (filter.credential === undefined || filter.credential === view.credential),
    );
  }
}
