import type { Socket } from 'node:net';

/** For a client to read its last line and close. */
const farewellTimeMs = 5_000;

/** Says the last line to a client that is not let in, and closes (wire 152). */
export function sayFarewell(socket: Socket, line: Buffer): void {
  socket.end(line);
  socket.resume();
  closeInTime(socket);
}

/** Closes a connection that is to end, whatever its client goes on sending or does not read. */
export function closeInTime(socket: Socket): void {
  const timer = setTimeout(() => socket.destroy(), farewellTimeMs);
  socket.once('close', () => clearTimeout(timer));
}
