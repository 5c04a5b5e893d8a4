/** One mail transaction, from MAIL on its way, before its reply is known, to its end. */
export class Transaction {
  readonly smtpUtf8: boolean;
  /** The policy let it begin, and is owed its end. */
  isAllowed = false;
  /** MAIL has its reply, on whatever connection. Does not reject. */
  begun: Promise<unknown> = Promise.resolve();
  /** RCPT commands, those refused too. */
  attempted = 0;
  accepted = 0;
  #underWay = 0;
  #last: Promise<unknown> = this.begun;

  constructor(smtpUtf8: boolean) {
    this.smtpUtf8 = smtpUtf8;
  }

  /** Orders one more recipient; null where it is one too many. Waits for those under way where they decide. `order` does not reject. */
  async recipient<Answer extends { readonly code: number }>(
    limit: number,
    order: () => Promise<Answer>,
  ): Promise<Answer | null> {
    while (this.#underWay > 0 && this.accepted + this.#underWay >= limit) await this.#last;
    if (this.accepted >= limit) return null;
    this.#underWay++;
    const answer = order();
    this.#last = answer;
    const reply = await answer;
    this.#underWay--;
    if (reply.code < 300) this.accepted++;
    return reply;
  }
}
