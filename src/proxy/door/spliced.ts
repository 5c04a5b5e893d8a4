import type { SplicedLink } from '../../upstream/opening.ts';
import { sayFarewell } from '../farewell.ts';
import { SplicedConversation, type SplicedProtocol } from '../spliced-conversation.ts';
import type { Door, DoorParts } from './door.ts';

/** A door of a protocol that becomes a splice: one pre-auth machine per connection, then a splice of both sockets. */
export function createSplicedDoor<
  State extends { readonly name: string },
  Accepted,
  Refusal,
  Link extends SplicedLink,
>(
  parts: DoorParts,
  speech: SplicedProtocol<State, Accepted, Refusal, Link>,
  /** To a client over a limit. */
  tooMany: Buffer,
): Door {
  const conversations = new Set<SplicedConversation<State, Accepted, Refusal, Link>>();
  let isDraining = false;

  return {
    accept(connection) {
      const conversation = new SplicedConversation(parts, speech, connection, () => {
        conversations.delete(conversation);
      });
      conversations.add(conversation);
      conversation.begin();
      if (isDraining) conversation.drain();
    },
    refuse({ socket }) {
      sayFarewell(socket, tooMany);
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
