import { createServer, type Socket } from 'node:net';
import { errorText } from '../observability/error-text.ts';
import { type Logger, printable } from '../observability/logger.ts';
import { type Answer, controlVersion, maxOrderBytes, type Order, orderSchema } from './message.ts';
import { listenAtSocket } from './socket-file.ts';

/** Carries out one order. A {@link RefusedOrder} thrown is an answer, anything else a fault. */
export type ControlCommand = (
  details: unknown,
  by: { readonly operator: string; readonly reason: string | null; readonly logger: Logger },
) => unknown;

/** An order that cannot be carried out; `message` is a sentence for the operator. */
export class RefusedOrder extends Error {
  override readonly name = 'RefusedOrder';
}

export interface ControlServer {
  /** Takes the socket away; what is being answered is cut. */
  close(): Promise<void>;
}

/** Operators' commands, not clients: more than this at once is a script gone wild. */
const maxConnections = 16;
/** Until the order is read, and again without progress of the answer. */
const silentMs = 10_000;

/**
 * Answers `sallyport` commands on this host: a line of JSON in, a line of JSON out, then it closes. The file system says who
 * may speak here. Rejects with a ControlSocketError.
 */
export async function serveControl(parts: {
  readonly stateDir: string;
  readonly commands: Readonly<Record<string, ControlCommand>>;
  readonly logger: Logger;
}): Promise<ControlServer> {
  const connections = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    connections.add(socket);
    socket.once('close', () => connections.delete(socket));
    // The command was interrupted: nobody is left to hear of it.
    socket.on('error', () => socket.destroy());
    socket.setTimeout(silentMs, () => socket.destroy());
    receiveLine(socket, (line) => {
      void answerTo(line, parts).then((answer) => {
        if (!socket.destroyed) socket.end(answer);
      });
    });
  });
  server.maxConnections = maxConnections;
  // Too many files open: this one waits, and the gateway goes on.
  server.on('error', (error) => parts.logger.warn({ detail: errorText(error) }, 'control socket'));
  const removeFile = await listenAtSocket(server, parts.stateDir);
  return {
    close: async () => {
      server.close();
      for (const socket of connections) socket.destroy();
      await removeFile();
    },
  };
}

/** Calls back once, with the first line; closes where there is none within the limits. */
function receiveLine(socket: Socket, onLine: (line: string) => void): void {
  let received: Buffer = Buffer.alloc(0);
  const onData = (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    const end = received.indexOf('\n');
    if (end < 0 && received.length <= maxOrderBytes) return;
    socket.off('data', onData);
    if (end < 0 || end > maxOrderBytes) {
      socket.destroy();
      return;
    }
    // Read on, to hear that the command was interrupted.
    socket.resume();
    onLine(received.toString('utf8', 0, end));
  };
  socket.on('data', onData);
  socket.once('end', () => {
    if (!received.includes('\n')) socket.destroy();
  });
}

/** Never rejects. */
async function answerTo(
  line: string,
  parts: { readonly commands: Readonly<Record<string, ControlCommand>>; readonly logger: Logger },
): Promise<string> {
  const order = parseOrder(line);
  if (order === null) return refused('This is no order of a sallyport command.');
  if (order.version !== controlVersion) {
    return refused(
      'The gateway that runs is of another version than this command: restart it, or use its own command.',
    );
  }
  const command = Object.hasOwn(parts.commands, order.name) ? parts.commands[order.name] : undefined;
  if (command === undefined) {
    return refused(`The gateway that runs does not know the order "${printable(order.name)}".`);
  }
  try {
    const operator = printable(order.operator);
    const reason = order.reason ?? null;
    const result = await command(order.details, { operator, reason, logger: parts.logger });
    return written({ version: controlVersion, kind: 'done', result });
  } catch (error) {
    if (error instanceof RefusedOrder) return refused(error.message);
    parts.logger.error({ err: error, order: order.name }, 'control command failed by a fault');
    return refused('The gateway failed; its log says why.');
  }
}

function parseOrder(line: string): Order | null {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return null;
  }
  const parsed = orderSchema.safeParse(value);
  return parsed.success ? parsed.data : null;
}

function refused(problem: string): string {
  return written({ version: controlVersion, kind: 'refused', problem });
}

function written(answer: Answer): string {
  return `${JSON.stringify(answer)}\n`;
}
