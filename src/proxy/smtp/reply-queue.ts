import type { ClientReply } from '../../protocol/smtp/reply.ts';

/** Replies of commands that did not wait for each other, said in the order of the commands (RFC 2920 3.2). */
export class ReplyQueue {
  readonly #limit: number;
  readonly #say: (reply: ClientReply) => void;
  #length = 0;
  #last: Promise<void> = Promise.resolve();
  #whenEmpty: (() => void)[] = [];

  constructor(limit: number, say: (reply: ClientReply) => void) {
    this.#limit = limit;
    this.#say = say;
  }

  get isEmpty(): boolean {
    return this.#length === 0;
  }

  /** `reply` does not reject. `next` lets another command in: at once while there is room. */
  add(reply: Promise<ClientReply>, next: () => void): void {
    const before = this.#last;
    this.#length++;
    const isFull = this.#length >= this.#limit;
    this.#last = (async () => {
      const said = await reply;
      await before;
      this.#length--;
      this.#say(said);
      if (this.#length === 0) for (const run of this.#whenEmpty.splice(0)) run();
    })();
    if (isFull) void before.then(next);
    else next();
  }

  /** Runs it once everything has been said. */
  whenEmpty(run: () => void): void {
    if (this.isEmpty) run();
    else this.#whenEmpty.push(run);
  }
}
