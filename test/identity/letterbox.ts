import type { CodeSender } from '../../src/identity/second-factor/email-code.ts';

/** Codes on their way, as a mail server would take them. */
export class Letterbox implements CodeSender {
  readonly letters: { to: string; language: string; code: string; until: number }[] = [];
  isDown = false;

  async sendCode(
    _account: string,
    to: string,
    language: string,
    code: string,
    until: number,
  ): Promise<boolean> {
    if (!this.isDown) this.letters.push({ to, language, code, until });
    return !this.isDown;
  }

  get lastCode(): string {
    return this.letters.at(-1)?.code ?? 'no letter';
  }
}
