import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { Cluster } from 'ioredis';
import type { KeyRing } from './key-file.ts';
import {
  type Answer,
  type Node,
  type NodeMessage,
  openMessage,
  type Question,
  sealMessage,
} from './node-message.ts';
import { NodeRoster } from './node-roster.ts';
import { PendingQuestion, type Reply } from './pending-question.ts';
import type { Redis } from './redis.ts';
import { RedisSubscription } from './redis-subscription.ts';
import { SealBox } from './seal.ts';

/** Milliseconds. */
export interface NodeTiming {
  readonly heartbeatMs: number;
  /** How long a node that says nothing is still expected to answer. */
  readonly ttlMs: number;
  readonly answerMs: number;
}

const defaultTiming: NodeTiming = { heartbeatMs: 5_000, ttlMs: 15_000, answerMs: 3_000 };
/** Nodes that hear of a new one at the same time need not all say twice that they live. */
const greetingMs = 20;
/** Of this process: operators and people at their own pages. */
const maxPending = 64;

/** This process, for people: `mx1/4711`. In containers each has the same number, and its host a name of its own. */
export const nodeName = `${hostname()
  .replace(/[^\x21-\x7e]/g, '-')
  .slice(0, 80)}/${process.pid}`;

const everybody = 'sp:v1:nodes';
const channelOf = ({ instance }: Pick<Node, 'instance'>) => `sp:v1:node:${instance}`;

/** What came of a question. */
export interface Replies {
  readonly replies: readonly Reply[];
  /** Names of nodes that live, as far as is known, and did not answer to the end. */
  readonly silent: readonly string[];
  /** Redis did not carry the question. */
  readonly isAlone: boolean;
}

/**
 * Questions to the other nodes, and answers to theirs, over Redis pub/sub. Whoever can write Redis can neither ask nor answer,
 * and repeats in vain: each message is sealed for its channel, a node is heard only forwards in time, an order names the
 * processes it is for, and an answer the question (S-30). It can keep messages back.
 */
export class NodeExchange {
  readonly node: Node = { instance: token(), name: nodeName };
  readonly #redis: Redis;
  readonly #box: SealBox;
  readonly #now: () => number;
  readonly #timing: NodeTiming;
  readonly #respond: (question: Question, from: Node) => Iterable<Answer>;
  readonly #roster: NodeRoster;
  readonly #pending = new Map<string, PendingQuestion>();
  readonly #subscription: RedisSubscription;
  readonly #heartbeat: NodeJS.Timeout;
  #greeting: NodeJS.Timeout | null = null;
  #saidAt = 0;

  constructor(parts: {
    readonly redis: Redis;
    readonly keys: KeyRing;
    readonly now: () => number;
    /** Nothing where the question is not for this process. */
    readonly respond: (question: Question, from: Node) => Iterable<Answer>;
    readonly onError: (error: Error) => void;
    readonly timing?: Partial<NodeTiming>;
  }) {
    this.#redis = parts.redis;
    this.#box = new SealBox(parts.keys);
    this.#now = parts.now;
    this.#timing = { ...defaultTiming, ...parts.timing };
    this.#respond = parts.respond;
    this.#roster = new NodeRoster(this.#timing.ttlMs);
    this.#subscription = new RedisSubscription(this.#redis, [everybody, channelOf(this.node)], {
      message: (channel, text) => this.#onMessage(channel, text),
      listening: () => this.#sayAlive(true),
      error: parts.onError,
    });
    this.#heartbeat = setInterval(() => this.#sayAlive(false), this.#timing.heartbeatMs).unref();
  }

  /** The others that live, as far as is known. */
  others(): readonly Node[] {
    return this.#roster.alive(this.#now());
  }

  /** Asks every other node, and waits for those that live. Never rejects. */
  async ask(question: Question): Promise<Replies> {
    const pending = new PendingQuestion(this.others());
    const alone = { replies: [], silent: pending.silent(), isAlone: true };
    if (!this.#subscription.isListening || this.#pending.size >= maxPending) return alone;
    const id = token();
    this.#pending.set(id, pending);
    try {
      const heard = await this.#say(everybody, { kind: 'question', id, question });
      // Without an answer of Redis it may be on its way all the same.
      if (heard === null && this.#redis.status !== 'ready') return alone;
      // One more than the others: this node listens too. A cluster counts those at one of its nodes only.
      const least = heard === null || this.#redis instanceof Cluster ? 0 : heard - 1;
      await pending.answered(least, this.#timing.answerMs);
      return { replies: pending.replies(), silent: pending.silent(), isAlone: false };
    } finally {
      this.#pending.delete(id);
    }
  }

  /** Says goodbye, so that nobody waits for this node. Never rejects. */
  async stop(): Promise<void> {
    clearInterval(this.#heartbeat);
    if (this.#greeting !== null) clearTimeout(this.#greeting);
    this.#subscription.stop();
    if (this.#redis.status === 'ready') await this.#say(everybody, { kind: 'gone' });
  }

  #onMessage(channel: string, text: string): void {
    const message = openMessage(this.#box, channel, text);
    if (message === null || message.from.instance === this.node.instance) return;
    if (channel !== everybody) {
      if (message.kind === 'answer') this.#pending.get(message.id)?.take(message);
      return;
    }
    const { from, at, kind } = message;
    if (kind === 'answer' || !this.#roster.note(from, at, this.#now(), kind === 'gone')) return;
    if (kind === 'alive' && message.isNew) this.#greet();
    if (kind === 'question') void this.#answer(message.id, message.question, from);
  }

  #greet(): void {
    this.#greeting ??= setTimeout(() => {
      this.#greeting = null;
      this.#sayAlive(false);
    }, greetingMs).unref();
  }

  #sayAlive(isNew: boolean): void {
    if (this.#redis.status === 'ready') void this.#say(everybody, { kind: 'alive', isNew });
  }

  /** One part at a time: what Redis has not passed on waits here, and not in its buffer. */
  async #answer(id: string, question: Question, from: Node): Promise<void> {
    const answers = [...this.#respond(question, from)];
    for (const [part, answer] of answers.entries()) {
      const isLast = part === answers.length - 1;
      const heard = await this.#say(channelOf(from), { kind: 'answer', id, part, isLast, answer });
      if (heard === null) return;
    }
  }

  /** How many heard it; null where Redis does not say. */
  async #say(channel: string, what: Saying): Promise<number | null> {
    // Rising, whatever the clock does.
    this.#saidAt = Math.max(this.#saidAt + 1, this.#now());
    const message = { ...what, from: this.node, at: this.#saidAt } as NodeMessage;
    try {
      return await this.#redis.publish(channel, sealMessage(this.#box, channel, message));
    } catch {
      return null;
    }
  }
}

type Saying = NodeMessage extends infer Each
  ? Each extends unknown
    ? Omit<Each, 'from' | 'at'>
    : never
  : never;

function token(): string {
  return randomBytes(16).toString('base64url');
}
