import type { Logger } from '../observability/logger.ts';
import type { KeyRing } from './key-file.ts';
import { NodeExchange, type NodeTiming, nodeName } from './node-exchange.ts';
import type { Answer, Node, Question } from './node-message.ts';
import type { Redis } from './redis.ts';
import type {
  LocalSessions,
  NodeSession,
  SessionDirectory,
  SessionEnding,
  SessionFilter,
  SessionListing,
  SessionView,
} from './session-directory.ts';

/** A node tells of no more; a listing of everybody is for looking, not for counting. */
const maxSessions = 10_000;
/** JSON of one part; sealed and in base64url it is a third more. */
const partCharacters = 65_536;
const maxReason = 200;

/** The sessions of all nodes that share a Redis; of this process alone where there is none. */
export class NodeSessions implements SessionDirectory {
  readonly #local: LocalSessions;
  readonly #exchange: NodeExchange | null;
  readonly #logger: Logger;

  constructor(parts: {
    readonly local: LocalSessions;
    readonly redis: Redis | null;
    readonly keys: KeyRing;
    readonly now: () => number;
    readonly logger: Logger;
    readonly onRedisError: (error: Error) => void;
    readonly timing?: Partial<NodeTiming>;
  }) {
    const { redis, keys, now, onRedisError, timing = {} } = parts;
    this.#local = parts.local;
    this.#logger = parts.logger;
    const respond = (question: Question, from: Node) => this.#respond(question, from);
    this.#exchange =
      redis === null ? null : new NodeExchange({ redis, keys, now, respond, onError: onRedisError, timing });
  }

  async list(filter: SessionFilter): Promise<SessionListing> {
    const own = this.#local.list(filter).map((session) => ({ ...session, node: nodeName }));
    if (this.#exchange === null) return { sessions: own, omitted: 0, silent: [], isAlone: false };
    const { replies, silent, isAlone } = await this.#exchange.ask({ kind: 'list', filter });
    const sessions: NodeSession[] = own;
    let omitted = 0;
    for (const { node, answers } of replies) {
      for (const answer of answers) {
        if (answer.kind !== 'sessions') continue;
        for (const session of answer.sessions) sessions.push({ ...session, node: node.name });
        omitted += answer.omitted;
      }
    }
    return { sessions, omitted, silent: [...silent], isAlone };
  }

  async end(filter: SessionFilter, reason: string): Promise<SessionEnding> {
    let ended = this.#local.end(filter, reason);
    if (this.#exchange === null) return { ended, silent: [], isAlone: false };
    // An order names whom it is for, so that no process obeys one that was given before it started.
    const who = await this.#exchange.ask({ kind: 'who' });
    if (who.isAlone) return { ended, silent: [...who.silent], isAlone: true };
    const to = this.#exchange.others().map(({ instance }) => instance);
    const order: Question = { kind: 'end', filter, reason: reason.slice(0, maxReason), to };
    const { replies, silent, isAlone } = await this.#exchange.ask(order);
    for (const answer of replies.flatMap(({ answers }) => answers)) {
      if (answer.kind === 'ended') ended += answer.ended;
    }
    return { ended, silent: [...silent], isAlone };
  }

  async stop(): Promise<void> {
    await this.#exchange?.stop();
  }

  #respond(question: Question, from: Node): Iterable<Answer> {
    switch (question.kind) {
      case 'who':
        return [{ kind: 'here' }];
      case 'list':
        return partsOf(this.#local.list(question.filter));
      case 'end': {
        if (this.#exchange === null || !question.to.includes(this.#exchange.node.instance)) return [];
        const { filter, reason } = question;
        const ended = this.#local.end(filter, reason);
        this.#logger.info(
          { node: from.name, reason, ...filter, ended },
          'sessions ended on the word of another node',
        );
        return [{ kind: 'ended', ended }];
      }
      default:
        return question satisfies never;
    }
  }
}

/** The newest sessions, in parts of bounded size; at least one part. */
function partsOf(all: readonly SessionView[]): readonly Answer[] {
  const told = all.toSorted((one, other) => other.since - one.since).slice(0, maxSessions);
  const parts: SessionView[][] = [[]];
  let characters = 0;
  for (const session of told) {
    const length = JSON.stringify(session).length;
    if (characters + length > partCharacters) {
      parts.push([]);
      characters = 0;
    }
    parts.at(-1)?.push(session);
    characters += length;
  }
  return parts.map((sessions, index) => ({
    kind: 'sessions',
    sessions,
    omitted: index === 0 ? all.length - told.length : 0,
  }));
}
