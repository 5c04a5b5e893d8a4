/** Whose fault a failed backend leg is, for logs and the `kind` label. The client is never told the text. */
export type UpstreamErrorKind =
  | 'connect'
  | 'tls'
  | 'greeting'
  | 'protocol'
  /** The backend does not accept the gateway's own credential: an alarm, never a wrong password. */
  | 'refused-us'
  | 'timeout'
  | 'closed'
  /** Not asked, because it failed everybody just now. */
  | 'suspended'
  /** The gateway itself answers where the backend should (wire 72): a fault of the configuration. */
  | 'loop';

/** The backend could not be reached or did not behave. `message` names what was seen and holds no secret. */
export class UpstreamError extends Error {
  override readonly name = 'UpstreamError';
  readonly backend: string;
  readonly kind: UpstreamErrorKind;
  /** The backend had greeted: what went wrong may be one mailbox's. */
  readonly afterGreeting: boolean;

  constructor(
    backend: string,
    kind: UpstreamErrorKind,
    message: string,
    options: ErrorOptions & { readonly afterGreeting?: boolean } = {},
  ) {
    super(message, options);
    this.backend = backend;
    this.kind = kind;
    this.afterGreeting = options.afterGreeting ?? false;
  }
}
