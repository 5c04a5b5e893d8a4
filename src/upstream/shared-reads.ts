import { connect, type Socket, type TcpNetConnectOpts } from 'node:net';

/** Takes what a socket reads as views into a buffer of the whole process. */
export interface ViewTaker {
  /** The view holds until this returns. false: read no more until `resume`. */
  takeView(view: Buffer): boolean;
}

const taker = Symbol('taker of views');

interface SharingSocket extends Socket {
  [taker]?: ViewTaker | null;
}

/** One TLS record: what is passed on is written whole, and a larger one is copied in part. */
const shared = Buffer.allocUnsafeSlow(16_384);

/**
 * As `net.connect`, for a clear leg that becomes a splice: reads take no memory of their own. Until {@link takeViews} it
 * emits 'data' with copies, like any socket; `pause`, `resume`, 'end' are as ever. Pause it where nobody listens. It has
 * no `read`, `pipe` or `setEncoding`, and TLS over it is not meant.
 */
export function connectSharing(options: TcpNetConnectOpts): Socket {
  const socket: SharingSocket = connect({
    ...options,
    onread: {
      buffer: shared,
      callback: (length) => {
        const view = shared.subarray(0, length);
        const by = socket[taker];
        if (by != null) return by.takeView(view);
        socket.emit('data', Buffer.from(view));
        return true;
      },
    },
  });
  socket[taker] = null;
  return socket;
}

/** From now on `by` gets what the socket reads, and nobody else; false for a socket that shares nothing and emits 'data'. */
export function takeViews(socket: Socket, by: ViewTaker): boolean {
  const sharing: SharingSocket = socket;
  if (sharing[taker] === undefined) return false;
  sharing[taker] = by;
  return true;
}
