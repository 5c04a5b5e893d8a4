import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { Observation, Subject } from './transcript.ts';

/**
 * A machine behind a real TCP socket: what the transcript's peer says travels there, and the bytes that are observed are
 * those that came back. One server for all transcripts of a file; each replay has a connection of its own.
 */
export class SocketBed {
  readonly #server: Server;
  #next: ((socket: Socket) => void) | null = null;

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket) => this.#next?.(socket));
  }

  static async open(): Promise<SocketBed> {
    const server = createServer({ noDelay: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new SocketBed(server);
  }

  async connect(machine: Subject): Promise<SocketSubject> {
    const accepted = new Promise<Socket>((resolve) => {
      this.#next = resolve;
    });
    const client = connect({ host: '127.0.0.1', port: this.port, noDelay: true });
    return new SocketSubject(machine, await accepted, client);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    this.#server.close();
  }
}

export class SocketSubject implements Subject {
  readonly #machine: Subject;
  readonly #server: Socket;
  readonly #client: Socket;
  /** What the machine did since it was last asked; of its bytes only the number counts. */
  #done: Observation[] = [];
  #came: Buffer = Buffer.alloc(0);
  #sent = 0;
  #heard = 0;
  #wake: () => void = () => {};

  constructor(machine: Subject, server: Socket, client: Socket) {
    this.#machine = machine;
    this.#server = server;
    this.#client = client;
    server.on('data', (bytes: Buffer) => {
      this.#heard += bytes.length;
      machine.receive(bytes);
      this.#collect();
    });
    client.on('data', (bytes: Buffer) => {
      this.#came = Buffer.concat([this.#came, bytes]);
      this.#wake();
    });
    for (const socket of [server, client]) socket.on('error', () => this.#wake());
  }

  receive(bytes: Buffer): void {
    this.#sent += bytes.length;
    this.#client.write(bytes);
  }

  happen(event: string, detail: string): void {
    this.#machine.happen(event, detail);
    this.#collect();
  }

  /** Waits until all that was sent has been heard and all that was answered has come back. */
  async observed(): Promise<readonly Observation[]> {
    while (this.#heard < this.#sent || this.#came.length < this.#answered()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const seen = this.#done.map((one) => (Buffer.isBuffer(one) ? this.#take(one.length) : one));
    this.#done = [];
    return seen;
  }

  close(): void {
    this.#client.destroy();
    this.#server.destroy();
  }

  #collect(): void {
    const observations = this.#machine.observed([]);
    if (observations instanceof Promise) throw new Error('a machine answers at once');
    for (const one of observations) {
      this.#done.push(one);
      if (Buffer.isBuffer(one)) this.#server.write(one);
    }
    this.#wake();
  }

  #answered(): number {
    return this.#done.reduce((sum, one) => sum + (Buffer.isBuffer(one) ? one.length : 0), 0);
  }

  #take(length: number): Buffer {
    const bytes = this.#came.subarray(0, length);
    this.#came = this.#came.subarray(length);
    return bytes;
  }
}
