/** A server of the demo or of a test cannot run on this machine; the message says why and what to do. */
export class ScratchError extends Error {
  override readonly name = 'ScratchError';
}
