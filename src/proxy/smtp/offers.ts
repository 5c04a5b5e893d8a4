import {
  type Extensions,
  emptyOffer,
  narrowOffer,
  type Offer,
  offerOf,
} from '../../protocol/smtp/extensions.ts';
import { probeSubmission } from '../../upstream/submission.ts';
import type { Upstream, Upstreams } from '../../upstream/upstreams.ts';

/** The first clients' EHLO waits so long for the first answers of the backends. */
const patienceMs = 1_000;
/** Between two tries to ask a backend that did not answer. */
const retryMs = 30_000;

interface Known {
  offer: Offer | null;
  probe: Promise<void> | null;
  triedAt: number | null;
}

export interface OffersParts {
  readonly upstreams: Upstreams;
  readonly hostname: string;
  readonly now: () => number;
}

/**
 * What EHLO may promise (wire 73, 88): what every backend has listed each time it was seen, by a probe or by a login. Before
 * a backend was seen, nothing of it. What it has dropped once is promised again by the next start of the program only.
 */
export class Offers {
  readonly #parts: OffersParts;
  readonly #backends: Map<string, Known>;
  readonly #closed = new AbortController();
  #ready: Promise<void> | null = null;

  constructor(parts: OffersParts) {
    this.#parts = parts;
    this.#backends = new Map(
      [...parts.upstreams.keys()].map((name) => [name, { offer: null, probe: null, triedAt: null }]),
    );
  }

  /** Asks the backends that nobody has seen, in the background. Does not reject. */
  async probe(): Promise<void> {
    const now = this.#parts.now();
    for (const [name, known] of this.#backends) {
      const upstream = this.#parts.upstreams.get(name);
      const isDue = known.triedAt === null || now - known.triedAt >= retryMs;
      if (upstream === undefined || known.offer !== null || known.probe !== null || !isDue) continue;
      known.triedAt = now;
      known.probe = this.#ask(name, upstream).finally(() => {
        known.probe = null;
      });
    }
    await Promise.all([...this.#backends.values()].map(({ probe }) => probe));
  }

  /** A backend has listed this. */
  seen(backend: string, extensions: Extensions): void {
    const known = this.#backends.get(backend);
    if (known === undefined) return;
    const offer = offerOf(extensions);
    known.offer = known.offer === null ? offer : narrowOffer(known.offer, offer);
  }

  /** What holds for all of them. */
  async current(): Promise<Offer> {
    const probe = this.probe();
    this.#ready ??= within(patienceMs, probe);
    await this.#ready;
    const offers = [...this.#backends.values()].map(({ offer }) => offer ?? emptyOffer);
    return offers.length === 0 ? emptyOffer : offers.reduce(narrowOffer);
  }

  close(): void {
    this.#closed.abort('closed');
  }

  async #ask(name: string, upstream: Upstream): Promise<void> {
    const { hostname } = this.#parts;
    try {
      this.seen(name, await probeSubmission(upstream, { hostname, signal: this.#closed.signal }));
    } catch {
      // One that is down promises nothing; logins tell of it, and count it.
    }
  }
}

async function within(ms: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work, patience]);
  clearTimeout(timer);
}
