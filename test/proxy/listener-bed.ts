import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, type NetConnectOpts, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Duplex, Writable } from 'node:stream';
import { type ConnectionOptions, type TLSSocket, connect as tlsConnect } from 'node:tls';
import type { CertificateFiles } from '../../src/config/certificate.ts';
import { mailTls } from '../../src/config/server-tls.ts';
import { findProgram, run } from '../../src/demo/program.ts';
import { createLogger } from '../../src/observability/logger.ts';
import type { Connection, Door } from '../../src/proxy/door/door.ts';
import { type Listener, type ListenerParts, listen } from '../../src/proxy/listener.ts';

/** `ec` is P-256; `rsa1024` is too weak for the gateway. */
export type KeyType = 'ec' | 'rsa' | 'rsa1024';

/** A self-signed certificate for these DNS names, whose common name is the first. */
export async function makeCertificate(keyType: KeyType, ...names: string[]): Promise<CertificateFiles> {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-certificate-'));
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  const newKey = keyType === 'ec' ? ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'] : [rsa[keyType]];
  const subjectNames = names.map((name) => `DNS:${name}`).join();
  await run('openssl', [
    ...['req', '-x509', '-days', '30', '-noenc', '-keyout', key, '-out', cert, '-newkey', ...newKey],
    ...['-subj', `/CN=${names[0] ?? 'nameless'}`],
    ...(names.length > 0 ? ['-addext', `subjectAltName=${subjectNames}`] : []),
  ]);
  const files = { cert: await readFile(cert), key: await readFile(key) };
  await rm(folder, { recursive: true });
  return files;
}

const rsa = { rsa: 'rsa:2048', rsa1024: 'rsa:1024' };

/**
 * A door of one line protocol: it greets, answers each line with an echo, and begins TLS at `STARTTLS`. The doors of the
 * product have tests of their own.
 */
export class EchoDoor implements Door {
  readonly accepted: Connection[] = [];
  refused = 0;

  accept(connection: Connection): void {
    this.accepted.push(connection);
    connection.socket.write('hello\r\n');
    this.#converse(connection);
  }

  refuse({ socket }: Connection): void {
    this.refused += 1;
    socket.end('too many\r\n');
    socket.resume();
  }

  drain(): void {}
  close(): void {}

  #converse(connection: Connection): void {
    const { socket } = connection;
    let text = '';
    const onData = (bytes: Buffer) => {
      text += bytes.toString('latin1');
      for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n')) {
        const line = text.slice(0, end).trim();
        text = text.slice(end + 1);
        if (line === 'STARTTLS') {
          socket.off('data', onData).off('end', onEnd).pause();
          // What is left of `text` was said in clear and is gone (S-02).
          socket.write('go\r\n', () => void this.#secure(connection));
          return;
        }
        socket.write(`echo ${line}\r\n`);
      }
    };
    const onEnd = () => socket.end();
    socket.on('data', onData).once('end', onEnd);
  }

  async #secure(connection: Connection): Promise<void> {
    const secured = await connection.secure();
    if (secured === null) return;
    this.accepted.push(secured);
    this.#converse(secured);
    secured.socket.write('secured\r\n');
  }
}

/** Those of the TCP connection underneath too. */
type ClientOptions = ConnectionOptions & { readonly localAddress?: string; readonly allowHalfOpen?: boolean };

/** One listener on a free port, with what it logged and who came to its door. */
export interface Opened {
  readonly listener: Listener;
  readonly port: number;
  readonly door: EchoDoor;
  /** Names of pino's levels, `debug` and up, with the message. */
  readonly log: { readonly level: number; readonly msg: string; readonly reason?: string }[];
}

/** Listeners and clients of one test file. */
export class ListenerBed {
  readonly #listeners: Listener[] = [];
  readonly #clients: Socket[] = [];
  readonly #certificate: CertificateFiles;

  private constructor(certificate: CertificateFiles) {
    this.#certificate = certificate;
  }

  static async make(): Promise<ListenerBed> {
    return new ListenerBed(await makeCertificate('ec', 'localhost', 'mail.example.com'));
  }

  get certificate(): CertificateFiles {
    return this.#certificate;
  }

  async open(changes: Partial<ListenerParts> = {}): Promise<Opened> {
    const door = new EchoDoor();
    const log: Opened['log'] = [];
    const lines = new Writable({
      write(chunk: Buffer, _encoding, done) {
        log.push(JSON.parse(chunk.toString()));
        done();
      },
    });
    const listener = await listen({
      protocol: 'imap',
      host: '127.0.0.1',
      port: 0,
      tls: mailTls({ minVersion: 'TLSv1.2' }, this.#certificate),
      door,
      connectionsPerNetwork: 200,
      logger: createLogger('debug', lines),
      ...changes,
    });
    this.#listeners.push(listener);
    return { listener, port: listener.port, door, log };
  }

  /** A client that trusts the bed's certificate. */
  dial(port: number, options: ClientOptions = {}): TLSSocket {
    return this.#keep(
      tlsConnect({
        host: '127.0.0.1',
        port,
        ca: this.#certificate.cert,
        servername: 'localhost',
        ...options,
      }),
    );
  }

  /** A client whose certificate check is not what is tested. */
  dialAny(port: number, options: ClientOptions = {}): TLSSocket {
    return this.dial(port, { rejectUnauthorized: false, ...options });
  }

  /** A client without TLS. */
  plain(port: number, options: Partial<NetConnectOpts> & { localAddress?: string } = {}): Socket {
    return this.#keep(connect({ host: '127.0.0.1', port, noDelay: true, ...options }));
  }

  /** TLS on a connection that was plain so far. */
  secure(socket: Duplex, options: ConnectionOptions = {}): TLSSocket {
    return this.#keep(
      tlsConnect({ socket, ca: this.#certificate.cert, servername: 'localhost', ...options }),
    );
  }

  close(): void {
    for (const client of this.#clients.splice(0)) client.destroy();
    for (const listener of this.#listeners.splice(0)) listener.close();
  }

  #keep<Kind extends Socket>(socket: Kind): Kind {
    socket.on('error', () => {});
    this.#clients.push(socket);
    return socket;
  }
}

/** The next line, or `closed` where none comes any more. */
export async function lineOf(socket: Socket): Promise<string> {
  const ended = new Promise<string>((resolve) => {
    socket.once('end', () => resolve('closed')).once('close', () => resolve('closed'));
  });
  const line = new Promise<string>((resolve) => {
    let text = '';
    const onData = (bytes: Buffer) => {
      text += bytes.toString('latin1');
      if (!text.endsWith('\n')) return;
      socket.off('data', onData);
      resolve(text.trim());
    };
    socket.on('data', onData);
  });
  return await Promise.race([line, ended]);
}

/** The code of the error that ends a client. */
export async function failureOf(client: Socket): Promise<string> {
  const [error] = (await once(client, 'error')) as [Error & { code: string }];
  return error.code;
}

export async function closed(socket: Socket): Promise<void> {
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
}

/** Runs `openssl s_client` against a port of this machine, says `input`, and answers all it printed once it ends. */
export async function openssl(port: number, options: readonly string[], input = ''): Promise<string> {
  const child = spawn(findProgram('openssl'), ['s_client', '-connect', `127.0.0.1:${port}`, ...options]);
  let output = '';
  child.stdout.on('data', (bytes: Buffer) => {
    output += bytes.toString();
    // Only now is the connection one that a letter on a line of its own is a command to.
    if (output.includes('hello')) child.stdin.end(input === '' ? 'Q\n' : input);
  });
  child.stderr.on('data', (bytes: Buffer) => {
    output += bytes.toString();
  });
  child.stdin.on('error', () => {});
  await once(child, 'close');
  return output;
}

/** The SHA-256 fingerprint that a client was shown. */
export function shown(client: TLSSocket): string {
  return client.getPeerX509Certificate()?.fingerprint256 ?? '';
}

export async function writeCertificate(folder: string, name: string, files: CertificateFiles) {
  const [cert, key] = [join(folder, `${name}.pem`), join(folder, `${name}.key`)];
  await writeFile(cert, files.cert);
  await writeFile(key, files.key);
  return { cert, key };
}
