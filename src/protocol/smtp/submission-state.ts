import type { Secret } from '../../secret.ts';
import type { ForwardedPeer } from '../forwarded-peer.ts';
import type { MailOrder, RcptOrder } from './envelope.ts';
import type { Extensions } from './extensions.ts';
import type { Reply, ReplyReader } from './reply.ts';

/** How the backend is opened. */
export interface SubmissionOrder {
  /** What the gateway calls itself in EHLO. */
  readonly hostname: string;
  readonly startTls: boolean;
  /** null: only to learn what the backend offers. */
  readonly login: SubmissionLogin | null;
  /** null: the backend is not told whom it serves. */
  readonly peer: ForwardedPeer | null;
}

export interface SubmissionLogin {
  /** The person; the backend then acts for them (RFC 4616). */
  readonly authzid: string;
  /** The gateway's own name, which the password proves. */
  readonly authcid: string;
  readonly password: Secret;
}

/**
 * Beside the first three, orders: one at a time, each after the reply to the one before. Only `envelope` may follow
 * `envelope` at once; the replies come in the same order.
 */
export type SubmissionEvent =
  | { readonly type: 'received'; readonly bytes: Buffer }
  | { readonly type: 'tls-established' }
  | { readonly type: 'ended' }
  | { readonly type: 'envelope'; readonly command: MailOrder | RcptOrder }
  | { readonly type: 'data' }
  /** As it goes over the wire: out of a message reader. */
  | { readonly type: 'body'; readonly bytes: Buffer }
  | { readonly type: 'end-of-body' }
  | { readonly type: 'reset' }
  | { readonly type: 'quit' };

export type SubmissionFault = 'greeting' | 'protocol' | 'refused-us' | 'closed';

export type SubmissionEffect =
  | { readonly type: 'send'; readonly bytes: Buffer }
  | { readonly type: 'start-tls' }
  /** Logged in. `announced`: the backend knows the client by XCLIENT. */
  | { readonly type: 'ready'; readonly extensions: Extensions; readonly announced: boolean }
  /** To the oldest order without one. In the body it comes unasked: nothing more may be sent, and the connection must be cut. */
  | { readonly type: 'replied'; readonly reply: Reply }
  /** The connection must be cut. `detail` is printable and holds no secret. */
  | { readonly type: 'failed'; readonly kind: SubmissionFault; readonly detail: string }
  /** Nothing more is sent. */
  | { readonly type: 'end' };

/** What has been reached on the way to the login. */
export interface Opening {
  readonly order: SubmissionOrder;
  readonly secured: boolean;
  readonly announced: boolean;
}

/** What was agreed by the login. */
export interface Open {
  readonly extensions: Extensions;
  readonly announced: boolean;
}

export type SubmissionState =
  | { readonly name: 'greeting'; readonly opening: Opening; readonly reader: ReplyReader }
  | { readonly name: 'ehlo'; readonly opening: Opening; readonly reader: ReplyReader }
  | { readonly name: 'starttls'; readonly opening: Opening; readonly reader: ReplyReader }
  | { readonly name: 'handshake'; readonly opening: Opening }
  | {
      readonly name: 'xclient';
      readonly opening: Opening;
      readonly remaining: readonly string[];
      readonly reader: ReplyReader;
    }
  | {
      readonly name: 'auth-prompt';
      readonly open: Open;
      readonly response: string;
      readonly reader: ReplyReader;
    }
  | { readonly name: 'auth'; readonly open: Open; readonly reader: ReplyReader }
  | { readonly name: 'idle'; readonly open: Open; readonly reader: ReplyReader }
  | {
      readonly name: 'command';
      readonly open: Open;
      /** What is under way is MAIL and RCPT, and RCPT may follow. */
      readonly isEnvelope: boolean;
      /** Replies that are due to what was sent. */
      readonly due: number;
      /** Not sent, because the backend takes one command at a time. */
      readonly unsent: readonly Buffer[];
      readonly reader: ReplyReader;
    }
  | { readonly name: 'data'; readonly open: Open; readonly reader: ReplyReader }
  | { readonly name: 'body'; readonly open: Open; readonly reader: ReplyReader }
  /** Failed, refused for good, or ended. */
  | { readonly name: 'over' };

export interface SubmissionStep {
  readonly state: SubmissionState;
  readonly effects: readonly SubmissionEffect[];
}
