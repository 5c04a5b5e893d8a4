import { encodeReply } from '../../protocol/smtp/reply.ts';
import { sayFarewell } from '../farewell.ts';
import { ClientLegs } from '../smtp/client-leg.ts';
import { SmtpConversation } from '../smtp/conversation.ts';
import type { Door, DoorParts } from './door.ts';

/** The SMTP submission door: `smtp-server` toward the client, one backend connection per client, a relay in between. */
export function createSmtpDoor(parts: DoorParts): Door {
  const { hostname, limits } = parts.config;
  const legs = new ClientLegs({ hostname, messageBytes: limits.messageBytes });
  const conversations = new Set<SmtpConversation>();
  let isDraining = false;

  return {
    accept(connection) {
      const conversation = new SmtpConversation(parts, connection, () => conversations.delete(conversation));
      conversations.add(conversation);
      conversation.begin(legs);
      if (isDraining) conversation.drain();
    },
    refuse({ socket }) {
      sayFarewell(socket, encodeReply(421, '4.7.0', ['Too many connections']));
    },
    drain() {
      isDraining = true;
      for (const conversation of [...conversations]) conversation.drain();
    },
    close() {
      for (const conversation of [...conversations]) conversation.end('shutdown');
    },
  };
}
