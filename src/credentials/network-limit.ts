import { networkOf, widerNetworkOf } from './network.ts';

/** How many /32 of one /24, or /64 of one /48, may fill theirs: whoever has one IPv6 site has 65,536 networks. */
const widerFactor = 8;

/** Counts what a network has at once, and what the wider network around it has; keeps only networks that have any. */
export class NetworkLimit {
  readonly #perNetwork: number;
  readonly #counts = new Map<string, number>();

  constructor(perNetwork: number) {
    this.#perNetwork = perNetwork;
  }

  /** Counts one more and answers whether that is still within the limits. Each call is paired with {@link leave}. */
  enter(address: string): boolean {
    const own = this.#add(networkOf(address), 1);
    const around = this.#add(widerNetworkOf(address), 1);
    return own <= this.#perNetwork && around <= this.#perNetwork * widerFactor;
  }

  leave(address: string): void {
    this.#add(networkOf(address), -1);
    this.#add(widerNetworkOf(address), -1);
  }

  /** Networks counted now, wider ones included. */
  get size(): number {
    return this.#counts.size;
  }

  #add(network: string, change: number): number {
    const count = (this.#counts.get(network) ?? 0) + change;
    if (count > 0) this.#counts.set(network, count);
    else this.#counts.delete(network);
    return count;
  }
}
