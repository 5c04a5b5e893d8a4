import { Secret } from '../../secret.ts';
import type { SaslMechanism, SaslStep } from './mechanism.ts';

/** Exactly these: Thunderbird, Outlook and printers compare them, and the draft's "User Name" fails (wire 75). */
const usernamePrompt = 'Username:';
const passwordPrompt = 'Password:';

/** LOGIN, the obsolete mechanism of two prompts (draft-murchison-sasl-login); it has no authzid. */
export class LoginExchange implements SaslMechanism {
  readonly name = 'LOGIN';
  #authcid: Buffer | null = null;

  next(response: Buffer | null): SaslStep {
    if (response === null) return { kind: 'challenge', challenge: Buffer.from(usernamePrompt) };
    if (this.#authcid === null) {
      this.#authcid = Buffer.from(response);
      return { kind: 'challenge', challenge: Buffer.from(passwordPrompt) };
    }
    const step = this.#finish(this.#authcid, response);
    response.fill(0);
    return step;
  }

  #finish(authcid: Buffer, password: Buffer): SaslStep {
    if (authcid.includes(0) || password.includes(0)) return { kind: 'failure', reason: 'malformed' };
    if (authcid.length === 0) return { kind: 'failure', reason: 'no-authcid' };
    const credentials = { authzid: Buffer.alloc(0), authcid, password: new Secret(Buffer.from(password)) };
    return { kind: 'credentials', credentials };
  }
}
