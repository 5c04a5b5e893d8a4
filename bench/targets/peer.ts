import { freePort } from '../../src/demo/free-port.ts';
import { type Credentials, hotCount, writeCredentials } from '../credentials.ts';
import type { Server } from '../processes.ts';
import { type Bed, type Target, untilUp } from './target.ts';

/** Of all users of all peers. */
export const peerPassword = 'abcdefghijklmnop';
/** nginx knows a wrong password by this word. */
export const wrongPassword = 'wrongefghijklmno';

/** How a peer is started, and what differs from one to the other. */
export interface Peer {
  readonly name: string;
  readonly atOnce?: number;
  readonly atOnceRefused?: number;
  readonly isSlowCopier?: boolean;
  /** The first of `servers` is the one whose end would be a failure to start. */
  start(bed: Bed, ports: PeerPorts): Promise<{ servers: readonly Server[]; beside?: readonly Server[] }>;
}

export interface PeerPorts {
  readonly imaps: number;
  readonly smtps: number;
}

/** A program that is not ours, as a target. */
export class PeerTarget implements Target {
  readonly name: string;
  readonly imaps: number;
  readonly smtps: number;
  readonly credentials: Credentials;
  readonly atOnce: number;
  readonly atOnceRefused: number;
  readonly isSlowCopier: boolean;
  readonly hasCache = false;
  readonly metricsUrl = null;
  readonly #peer: Peer;
  readonly #bed: Bed;
  #servers: readonly Server[] = [];
  #beside: readonly Server[] = [];

  private constructor(peer: Peer, bed: Bed, ports: PeerPorts, credentials: Credentials) {
    this.#peer = peer;
    this.#bed = bed;
    this.name = peer.name;
    this.imaps = ports.imaps;
    this.smtps = ports.smtps;
    this.credentials = credentials;
    this.atOnce = peer.atOnce ?? 48;
    this.atOnceRefused = peer.atOnceRefused ?? this.atOnce;
    this.isSlowCopier = peer.isSlowCopier ?? false;
  }

  static async start(peer: Peer, bed: Bed): Promise<PeerTarget> {
    const passwords = new Array<string>(hotCount + bed.coldUsers).fill(peerPassword);
    const credentials = await writeCredentials(bed.folder, passwords, wrongPassword);
    const ports = { imaps: await freePort(), smtps: await freePort() };
    const target = new PeerTarget(peer, bed, ports, credentials);
    await target.#start();
    return target;
  }

  get servers(): readonly Server[] {
    return this.#servers;
  }

  get beside(): readonly Server[] {
    return this.#beside;
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.#start();
  }

  async stop(): Promise<void> {
    for (const server of [...this.#servers, ...this.#beside]) await server.stop();
  }

  async #start(): Promise<void> {
    const started = await this.#peer.start(this.#bed, { imaps: this.imaps, smtps: this.smtps });
    this.#servers = started.servers;
    this.#beside = started.beside ?? [];
    const [first] = this.#servers;
    if (first === undefined) throw new Error(`${this.name} has no server`);
    await untilUp(this.#bed.generator, first, this);
  }
}
