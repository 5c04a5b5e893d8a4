import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdir, rename, rm, stat } from 'node:fs/promises';
import { connect, type Server } from 'node:net';
import { join } from 'node:path';
import { errorCode, errorText } from '../observability/error-text.ts';

/** `sun_path` of unix(7), less its NUL. */
const maxPathBytes = 107;
const fileName = 'control.sock';

/** The socket cannot be where it has to be; `message` is a sentence for the operator. */
export class ControlSocketError extends Error {
  override readonly name = 'ControlSocketError';
}

export function controlSocketPath(stateDir: string): string {
  return join(stateDir, fileName);
}

/** Why no socket can be in this folder, or null. */
export function problemOfControlSocket(stateDir: string): string | null {
  const path = controlSocketPath(stateDir);
  const bytes = Buffer.byteLength(path);
  if (bytes <= maxPathBytes) return null;
  return `state_dir is too long: the path of a socket has at most ${maxPathBytes} bytes, and ${path} has ${bytes}`;
}

/**
 * Listens at the path, for this user and root only, in place of a socket that a dead process left. Rejects with a
 * {@link ControlSocketError} where a live one answers there or the file system has no sockets. Answers what takes the file
 * away again, if it is still this one.
 */
export async function listenAtSocket(server: Server, stateDir: string): Promise<() => Promise<void>> {
  const problem = problemOfControlSocket(stateDir);
  if (problem !== null) throw new ControlSocketError(problem);
  const path = controlSocketPath(stateDir);
  if (await answersAt(path)) {
    throw new ControlSocketError(
      `another gateway runs with the state_dir ${stateDir}: its control socket answers`,
    );
  }
  // Bound in a folder that nobody else can enter and moved when its mode is right, so that it is never open to others.
  const folder = join(stateDir, `.c${randomBytes(3).toString('hex')}`);
  try {
    await mkdir(stateDir, { recursive: true, mode: 0o700 });
    await mkdir(folder, { mode: 0o700 });
    const bound = join(folder, 's');
    server.listen({ path: bound });
    await once(server, 'listening');
    await chmod(bound, 0o600);
    const { ino } = await stat(bound);
    await rename(bound, path);
    return async () => {
      const there = await stat(path).catch(() => null);
      if (there?.ino === ino) await rm(path, { force: true });
    };
  } catch (error) {
    server.close();
    throw new ControlSocketError(`no control socket can be made in ${stateDir}: ${errorText(error)}`, {
      cause: error,
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Throws a {@link ControlSocketError} where it cannot be told. */
async function answersAt(path: string): Promise<boolean> {
  const socket = connect({ path });
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(5_000) });
    return true;
  } catch (error) {
    // A file that is no socket, or one that nobody listens on any more.
    const code = errorCode(error);
    if (code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ENOTSOCK') return false;
    // Its queue is full: somebody is there.
    if (code === 'EAGAIN') return true;
    throw new ControlSocketError(`${path} cannot be looked at: ${errorText(error)}`, { cause: error });
  } finally {
    socket.destroy();
  }
}
