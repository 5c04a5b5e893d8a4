import { once } from 'node:events';
import { connect } from 'node:net';
import { errorCode, errorText } from '../observability/error-text.ts';
import { answerSchema, controlVersion, maxAnswerBytes, maxReason, type Order } from './message.ts';
import { controlSocketPath } from './socket-file.ts';

/** What came of an order. `problem` is a sentence for the operator. */
export type ControlOutcome =
  | { readonly kind: 'done'; readonly result: unknown }
  | { readonly kind: 'refused'; readonly problem: string }
  | { readonly kind: 'no-gateway' };

/** For the whole answer; a gateway under load is slow, not silent. */
const answerMs = 30_000;

/** Gives an order to the gateway that runs with this state_dir on this host. Never rejects. */
export async function giveOrder(
  stateDir: string,
  order: Omit<Order, 'version'>,
  options: { readonly timeMs?: number } = {},
): Promise<ControlOutcome> {
  const path = controlSocketPath(stateDir);
  const signal = AbortSignal.timeout(options.timeMs ?? answerMs);
  const socket = connect({ path, allowHalfOpen: true });
  try {
    await once(socket, 'connect', { signal });
    const reason = order.reason?.slice(0, maxReason);
    socket.end(`${JSON.stringify({ version: controlVersion, ...order, reason })}\n`);
    const chunks: Buffer[] = [];
    let length = 0;
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      length += chunk.length;
      if (length > maxAnswerBytes) socket.destroy(new Error('its answer has no end'));
    });
    await once(socket, 'end', { signal });
    return read(Buffer.concat(chunks).toString('utf8'));
  } catch (error) {
    const code = errorCode(error);
    if (code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ENOTDIR') return { kind: 'no-gateway' };
    if (code === 'EACCES') {
      return refused(`${path} is not yours: run the command as the gateway's own user, or as root.`);
    }
    if (signal.aborted) return refused('The gateway does not answer.');
    return refused(`The gateway does not answer: ${errorText(error)}.`);
  } finally {
    socket.on('error', () => undefined);
    socket.destroy();
  }
}

function read(text: string): ControlOutcome {
  let value: unknown = null;
  try {
    value = JSON.parse(text);
  } catch {
    // Cut off, or nothing: the gateway was stopped meanwhile.
  }
  const parsed = answerSchema.safeParse(value);
  if (!parsed.success) return refused('The gateway broke off its answer.');
  if (parsed.data.kind === 'refused') return refused(parsed.data.problem);
  return { kind: 'done', result: parsed.data.result };
}

function refused(problem: string): ControlOutcome {
  return { kind: 'refused', problem };
}
