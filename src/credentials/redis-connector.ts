import { connect as connectClear, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { AbstractConnector, type Cluster, type RedisOptions } from 'ioredis';
import { isLoopback } from '../config/loopback.ts';

/** S-29 holds for the hosts that a cluster or a sentinel names too. */
export function clearIsRefused(host: string, isTls: boolean): boolean {
  return !isTls && !isLoopback(host);
}

/** Connects to a node of a cluster, wherever the cluster says it is, but never with a password in clear across a network. */
export class NodeConnector extends AbstractConnector {
  readonly #options: RedisOptions;

  constructor(options: unknown) {
    const settings = options as RedisOptions;
    super(settings.disconnectTimeout ?? 0);
    this.#options = settings;
  }

  override async connect(): Promise<Socket | TLSSocket> {
    this.connecting = true;
    const { host, port } = this.target(this.#options);
    const tls: ConnectionOptions | undefined = this.#options.tls;
    if (clearIsRefused(host, tls !== undefined)) {
      throw new Error('the cluster names a node on another host, which needs rediss+cluster://');
    }
    const stream = tls === undefined ? connectClear({ host, port }) : connectTls({ ...tls, host, port });
    stream.once('error', (error) => {
      this.firstError = error;
    });
    this.stream = stream;
    return stream;
  }

  /** Throws where there is none. */
  protected target({ host = '127.0.0.1', port = 6_379 }: RedisOptions): { host: string; port: number } {
    return { host, port };
  }
}

/** Connects to one node of the cluster as it is at that moment, the next one at each attempt. */
export function nodeConnectorOf(cluster: Cluster): typeof NodeConnector {
  let attempts = Math.floor(Math.random() * 1_000);
  return class extends NodeConnector {
    protected override target() {
      const nodes = cluster.nodes('master');
      attempts += 1;
      const node = nodes[attempts % nodes.length];
      if (node === undefined) throw new Error('no node of the cluster is known');
      const { host = '127.0.0.1', port = 6_379 } = node.options;
      return { host, port };
    }
  };
}
