import { createSocket } from 'node:dgram';
import { once } from 'node:events';

/** Answers of a name, as a zone has them. */
export type ZoneAnswer =
  | { readonly type: 'A'; readonly address: string }
  | { readonly type: 'CNAME'; readonly target: string }
  | {
      readonly type: 'SRV';
      readonly priority: number;
      readonly weight: number;
      readonly port: number;
      readonly target: string;
    };

export interface NameServer {
  /** `127.0.0.1:PORT`, as Node's resolver takes it. */
  readonly at: string;
  readonly close: () => Promise<void>;
}

const types = { A: 1, CNAME: 5, SRV: 33 } as const;
const nameError = 3;
const serverFailure = 2;

/** A name server (RFC 1035) on UDP with the names given; `failing` answers everything with SERVFAIL. */
export async function startNameServer(
  zone: Readonly<Record<string, readonly ZoneAnswer[]>>,
  failing = false,
): Promise<NameServer> {
  const socket = createSocket('udp4');
  socket.on('message', (query, peer) => {
    const { name, type, end } = questionOf(query);
    const all = Object.hasOwn(zone, name) ? (zone[name] ?? []) : null;
    // A name with a CNAME answers every type with it, and with what its target has.
    const alias = all?.find((answer) => answer.type === 'CNAME');
    const own = all?.filter((answer) => types[answer.type] === type) ?? [];
    const answers = (own.length === 0 && alias !== undefined ? [alias] : own).map((answer) =>
      recordOf(answer),
    );
    const header = Buffer.alloc(12);
    query.copy(header, 0, 0, 2);
    const code = failing ? serverFailure : all === null ? nameError : 0;
    header.writeUInt16BE(0x8580 | code, 2);
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(failing ? 0 : answers.length, 6);
    const question = query.subarray(12, end);
    socket.send(Buffer.concat([header, question, ...(failing ? [] : answers)]), peer.port, peer.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return {
    at: `127.0.0.1:${socket.address().port}`,
    close: async () => {
      socket.close();
      await once(socket, 'close');
    },
  };
}

function questionOf(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length).toLowerCase());
    at += 1 + length;
  }
  return { name: labels.join('.'), type: query.readUInt16BE(at + 1), end: at + 5 };
}

function recordOf(answer: ZoneAnswer): Buffer {
  const data = dataOf(answer);
  const head = Buffer.alloc(12);
  // The name of the question (RFC 1035 4.1.4).
  head.writeUInt16BE(0xc00c, 0);
  head.writeUInt16BE(types[answer.type], 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt32BE(60, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

function dataOf(answer: ZoneAnswer): Buffer {
  switch (answer.type) {
    case 'A':
      return Buffer.from(answer.address.split('.').map(Number));
    case 'CNAME':
      return encodeName(answer.target);
    case 'SRV': {
      const numbers = Buffer.alloc(6);
      numbers.writeUInt16BE(answer.priority, 0);
      numbers.writeUInt16BE(answer.weight, 2);
      numbers.writeUInt16BE(answer.port, 4);
      return Buffer.concat([numbers, encodeName(answer.target)]);
    }
    default:
      return answer satisfies never;
  }
}

function encodeName(name: string): Buffer {
  const labels = name === '.' ? [] : name.split('.');
  return Buffer.concat([
    ...labels.map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label, 'latin1')])),
    Buffer.from([0]),
  ]);
}
