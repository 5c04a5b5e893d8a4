import { encodeReply } from '../../protocol/smtp/reply.ts';
import { sayFarewell } from '../farewell.ts';
import { ClientLegs } from '../smtp/client-legs.ts';
import { SmtpConversation } from '../smtp/conversation.ts';
import { Offers } from '../smtp/offers.ts';
import { everythingAllowed, type SubmissionPolicies } from '../smtp/submission-policy.ts';
import type { Door, DoorParts } from './door.ts';

export interface SmtpDoorOptions {
  readonly policies?: SubmissionPolicies;
  /** For a command or a piece of a message; 5 minutes where it is not given (RFC 5321 4.5.3.2). */
  readonly idleMs?: number;
}

/** The SMTP submission door: `smtp-server` toward the client, one backend connection per client, a relay in between. */
export function createSmtpDoor(parts: DoorParts, options: SmtpDoorOptions = {}): Door {
  const { hostname, smtp } = parts.config;
  const legs = new ClientLegs({ hostname, bareNewlines: smtp.bareNewlines, ...options });
  const offers = new Offers({ upstreams: parts.upstreams, hostname, now: parts.now });
  const shared = { legs, offers, policies: options.policies ?? everythingAllowed };
  const conversations = new Set<SmtpConversation>();
  let isDraining = false;
  void offers.probe();

  return {
    accept(connection) {
      if (isDraining) {
        sayFarewell(connection.socket, encodeReply(421, '4.3.2', ['Server shutting down']));
        return;
      }
      const conversation = new SmtpConversation(parts, shared, connection, () => {
        conversations.delete(conversation);
      });
      conversations.add(conversation);
      conversation.begin();
    },
    refuse({ socket }) {
      sayFarewell(socket, encodeReply(421, '4.7.0', ['Too many connections']));
    },
    drain() {
      isDraining = true;
      for (const conversation of [...conversations]) conversation.drain();
    },
    close() {
      offers.close();
      for (const conversation of [...conversations]) conversation.end('shutdown');
    },
  };
}
