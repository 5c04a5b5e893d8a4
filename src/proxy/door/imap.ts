import { farewellTimeMs, ImapConnection } from '../imap/connection.ts';
import type { Door, DoorParts } from './door.ts';

/** The IMAP door: drives one pre-auth machine per connection, then hands both sockets to the splice. */
export function createImapDoor(parts: DoorParts): Door {
  const unauthenticated = new Set<ImapConnection>();
  const sessions = new Set<ImapConnection>();
  let draining = false;

  return {
    accept(connection) {
      const client = new ImapConnection(parts, connection, { unauthenticated, sessions });
      if (draining) client.drain();
    },
    refuse({ socket }) {
      socket.end('* BYE [UNAVAILABLE] Too many connections\r\n');
      socket.resume();
      socket.setTimeout(farewellTimeMs, () => socket.destroy());
    },
    drain() {
      draining = true;
      for (const client of unauthenticated) client.drain();
    },
    close() {
      for (const client of [...unauthenticated, ...sessions]) client.end('shutdown');
    },
  };
}
