import type { Logger } from '../observability/logger.ts';
import type { Database } from '../store/database.ts';
import type { NewStaleClientRow } from '../store/schema.ts';
import { addStaleClients } from '../store/stale-clients.ts';
import type { LoginSource } from './last-used.ts';
import { WriteBehind } from './write-behind.ts';

const maxPending = 5_000;

/**
 * Clients that go on sending an app password that was revoked or has expired: the phone in the drawer. For its owner and the
 * helpdesk, not for the throttle: who sends it has guessed nothing, and learns no more than a wrong secret would tell.
 */
export class StaleClients {
  readonly #now: () => number;
  readonly #seen: WriteBehind<NewStaleClientRow>;

  constructor(parts: { readonly database: Database; readonly logger: Logger; readonly now: () => number }) {
    this.#now = parts.now;
    this.#seen = new WriteBehind({
      now: parts.now,
      write: async (rows) => await addStaleClients(parts.database, rows),
      merge: (earlier, later) => ({
        ...later,
        first_at: earlier.first_at,
        times: earlier.times + later.times,
        client: later.client ?? earlier.client ?? null,
      }),
      onFault: (error, clients) => parts.logger.warn({ err: error, clients }, 'stale clients not written'),
      maxKeys: maxPending,
    });
  }

  /** `credentialId` is of a row whose secret was proven to be this one: a selector alone would blame the wrong device. */
  note(credentialId: Buffer, { address, protocol, client }: LoginSource): void {
    const at = this.#now();
    this.#seen.note(credentialId.toString('hex'), {
      credential_id: credentialId,
      first_at: at,
      last_at: at,
      times: 1,
      protocol,
      address,
      client,
    });
  }

  /** Writes what is left. Never rejects. */
  async stop(): Promise<void> {
    await this.#seen.stop();
  }
}
