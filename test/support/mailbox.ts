import { ImapFlow } from 'imapflow';
import type { TestGateway } from './gateway.ts';
import { until } from './until.ts';

/** Logs in to the backend itself, past the gateway, to see what really is in a mailbox. */
export async function openBackendMailbox(bed: TestGateway, address: string): Promise<ImapFlow> {
  const imap = new ImapFlow({
    host: 'localhost',
    port: bed.site.imaps,
    secure: true,
    tls: { ca: bed.ca },
    auth: { user: address, pass: bed.mainPasswords[address] ?? '' },
    logger: false,
  });
  await imap.connect();
  await imap.mailboxOpen('INBOX');
  return imap;
}

/** The source of the one message with this subject in the backend's INBOX, once it is there. */
export async function deliveredMessage(bed: TestGateway, address: string, subject: string): Promise<Buffer> {
  const imap = await openBackendMailbox(bed, address);
  try {
    let found: number[] = [];
    await until(async () => {
      await imap.noop();
      found = (await imap.search({ header: { subject } })) || [];
      return found.length > 0;
    });
    if (found.length > 1) throw new Error(`${found.length} messages "${subject}"`);
    const message = await imap.fetchOne(String(found[0]), { source: true });
    if (message === false || message.source === undefined) throw new Error('the message has no source');
    return message.source;
  } finally {
    await imap.logout();
  }
}

/** imapflow through the gateway, not yet connected. */
export function gatewayImap(bed: TestGateway, user: string, pass: string): ImapFlow {
  return new ImapFlow({
    host: 'localhost',
    port: bed.imapPort,
    secure: true,
    tls: { ca: bed.ca },
    auth: { user, pass },
    logger: false,
  });
}
