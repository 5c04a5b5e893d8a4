/** Whose fault a failed backend leg is, for logs and the `kind` label. The client is never told the text. */
export type UpstreamErrorKind =
  | 'connect'
  | 'tls'
  | 'greeting'
  | 'protocol'
  /** The backend does not accept the gateway's own credential: an alarm, never a wrong password. */
  | 'refused-us'
  | 'timeout'
  | 'closed';

/** The backend could not be reached or did not behave. `message` names what was seen and holds no secret. */
export class UpstreamError extends Error {
  override readonly name = 'UpstreamError';
  readonly backend: string;
  readonly kind: UpstreamErrorKind;

  constructor(backend: string, kind: UpstreamErrorKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.backend = backend;
    this.kind = kind;
  }
}
