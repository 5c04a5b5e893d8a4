import { untagged } from '../../protocol/imap/response.ts';
import { sayFarewell } from '../farewell.ts';
import { ImapConversation } from '../imap/conversation.ts';
import type { Door, DoorParts } from './door.ts';

/** The IMAP door: one pre-auth machine per connection, then a splice of both sockets. */
export function createImapDoor(parts: DoorParts): Door {
  const conversations = new Set<ImapConversation>();
  let isDraining = false;

  return {
    accept(connection) {
      const conversation = new ImapConversation(parts, connection, () => conversations.delete(conversation));
      conversations.add(conversation);
      conversation.begin();
      if (isDraining) conversation.drain();
    },
    refuse({ socket }) {
      sayFarewell(socket, untagged('BYE', 'UNAVAILABLE', 'Too many connections'));
    },
    drain() {
      isDraining = true;
      for (const conversation of conversations) conversation.drain();
    },
    close() {
      for (const conversation of [...conversations]) conversation.end('shutdown');
    },
  };
}
