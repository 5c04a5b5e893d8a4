import { once } from 'node:events';
import { afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { legacyMailTls, mailTls } from '../../src/config/server-tls.ts';
import { run } from '../../src/demo/program.ts';
import { until } from '../support/until.ts';
import { closed, failureOf, ListenerBed, lineOf, makeCertificate, openssl, shown } from './listener-bed.ts';

let bed: ListenerBed;

beforeAll(async () => {
  bed = await ListenerBed.make();
});
afterEach(() => bed.close());

describe('requirements 4.1: TLS of the mail doors', () => {
  it('takes TLS 1.3 with the hybrid group and TLS 1.2 with an old ECDHE suite', async () => {
    const { port } = await bed.open();
    const modern = bed.dial(port);
    expect(await lineOf(modern)).toBe('hello');
    expect(modern.getProtocol()).toBe('TLSv1.3');
    expect(modern.getEphemeralKeyInfo()).toMatchObject({ name: 'X25519MLKEM768' });
    const old = bed.dial(port, { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' });
    expect(await lineOf(old)).toBe('hello');
  });

  it('wire 122: takes what Apple Mail of 2015 offers with an RSA certificate', async () => {
    const { port } = await bed.open({
      tls: mailTls({ minVersion: 'TLSv1.2' }, await makeCertificate('rsa', 'localhost')),
    });
    for (const ciphers of ['ECDHE-RSA-AES128-SHA', 'ECDHE-RSA-AES256-SHA384']) {
      const client = bed.dialAny(port, { maxVersion: 'TLSv1.2', ciphers });
      expect(await lineOf(client)).toBe('hello');
    }
  });

  it.each([
    ['static RSA, which has no forward secrecy', { maxVersion: 'TLSv1.2', ciphers: 'AES256-SHA' }],
    ['TLS 1.1', { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' }],
  ] as const)('wire 122: refuses %s', async (_, options) => {
    const rsa = await makeCertificate('rsa', 'localhost');
    const { port, door } = await bed.open({ tls: mailTls({ minVersion: 'TLSv1.2' }, rsa) });
    expect(await failureOf(bed.dialAny(port, options))).toMatch(/^ERR_SSL_/);
    expect(door.accepted).toHaveLength(0);
  });

  it('S-08: a ticket of one listener is refused at another, and at its own after new keys', async () => {
    const [one, other] = [await bed.open(), await bed.open()];
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const first = bed.dial(one.port, { maxVersion });
      const ticket = once(first, 'session');
      await lineOf(first);
      const [session] = (await ticket) as [Buffer];
      const resumed = async (port: number) => {
        const client = bed.dial(port, { maxVersion, session });
        expect(await lineOf(client)).toBe('hello');
        return client.isSessionReused();
      };
      expect(await resumed(one.port)).toBe(true);
      expect(await resumed(other.port)).toBe(false);
      one.listener.useCertificates(mailTls({ minVersion: 'TLSv1.2' }, bed.certificate));
      expect(await resumed(one.port)).toBe(false);
    }
  });

  it('S-08: ticket keys are new after 12 hours', async () => {
    const others = ['Date', 'hrtime', 'nextTick', 'performance', 'queueMicrotask', 'setImmediate'] as const;
    jest.useFakeTimers({ doNotFake: [...others, 'clearImmediate', 'setTimeout', 'clearTimeout'] });
    try {
      const { port, listener } = await bed.open();
      const first = bed.dial(port);
      const ticket = once(first, 'session');
      await lineOf(first);
      const [session] = (await ticket) as [Buffer];
      const resumed = async () => {
        const client = bed.dial(port, { session });
        expect(await lineOf(client)).toBe('hello');
        return client.isSessionReused();
      };
      jest.advanceTimersByTime(12 * 3_600_000 - 1);
      expect(await resumed()).toBe(true);
      jest.advanceTimersByTime(1);
      expect(await resumed()).toBe(false);
      listener.close();
      expect(jest.getTimerCount()).toBe(0);
    } finally {
      jest.useRealTimers();
    }
  });

  it('S-07: any event of a handshake leaves the listener as it was', async () => {
    const { port, door, listener } = await bed.open();
    const records = [
      '',
      '\x16',
      '\x16\x03\x01\xff\xff',
      'GET / HTTP/1.1\r\n\r\n',
      '\x15\x03\x01\x00\x02\x02\x28',
    ];
    for (const record of [...records, '\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03', '\x80\x2e\x01\x00\x02']) {
      const client = bed.plain(port);
      await once(client, 'connect');
      client.end(Buffer.from(record, 'latin1'));
      client.resume();
      await closed(client);
    }
    await until(() => listener.networks === 0);
    expect(door.accepted).toHaveLength(0);
    expect(await lineOf(bed.dial(port))).toBe('hello');
  });

  it('takes a replaced certificate without a restart', async () => {
    const { port, listener } = await bed.open();
    const before = bed.dial(port);
    await lineOf(before);
    const next = await makeCertificate('ec', 'localhost');
    listener.useCertificates(mailTls({ minVersion: 'TLSv1.2' }, next));
    const after = bed.dial(port, { ca: next.cert });
    expect(await lineOf(after)).toBe('hello');
    expect(shown(after)).not.toBe(shown(before));
    before.write('still\r\n');
    expect(await lineOf(before)).toBe('echo still');
  });

  it('keeps the certificate it has where the new one is unusable', async () => {
    const { port, listener } = await bed.open();
    const broken = { cert: Buffer.from('none'), key: bed.certificate.key };
    expect(() => listener.useCertificates(mailTls({ minVersion: 'TLSv1.2' }, broken))).toThrow();
    expect(await lineOf(bed.dial(port))).toBe('hello');
  });
});

describe('wire 123: a legacy listener', () => {
  it.each(['ec', 'rsa'] as const)(
    'takes TLS 1.0 with a certificate of type %s, the normal one does not',
    async (keyType) => {
      const certificate = await makeCertificate(keyType, 'localhost');
      const legacy = await bed.open({ tls: legacyMailTls(certificate) });
      const normal = await bed.open({ tls: mailTls({ minVersion: 'TLSv1.2' }, certificate) });
      const old = ['-tls1', '-cipher', 'ALL@SECLEVEL=0'];
      expect(await openssl(legacy.port, old)).toMatch(/Protocol *: TLSv1\n/);
      expect(await openssl(normal.port, old)).toMatch(/alert protocol version/);
      expect(legacy.door.accepted.map(({ security }) => security)).toEqual(['legacy-tls']);
      expect(normal.door.accepted).toHaveLength(0);
    },
  );

  it('takes static RSA, which a device of 2012 has nothing better than, and prefers forward secrecy', async () => {
    const { port } = await bed.open({ tls: legacyMailTls(await makeCertificate('rsa', 'localhost')) });
    const device = ['-tls1', '-cipher', 'AES256-SHA@SECLEVEL=0'];
    expect(await openssl(port, device)).toMatch(/Cipher *: AES256-SHA\n/);
    expect(await openssl(port, ['-tls1_2', '-cipher', 'ALL@SECLEVEL=0'])).toMatch(
      /Cipher *: ECDHE-RSA-AES128-GCM/,
    );
  });

  it('offers neither ciphers without encryption nor ones without a certificate', async () => {
    const { port, door } = await bed.open({ tls: legacyMailTls(await makeCertificate('rsa', 'localhost')) });
    for (const cipher of ['NULL', 'ADH', 'AECDH', 'RC4', '3DES', 'EXPORT', 'PSK']) {
      expect(await openssl(port, ['-tls1_2', '-cipher', `${cipher}:@SECLEVEL=0`])).toMatch(
        /handshake failure|no cipher match|no ciphers available/,
      );
    }
    expect(door.accepted).toHaveLength(0);
  });

  it('is legacy after STARTTLS too, however good the client is', async () => {
    const { port, door } = await bed.open({ mode: 'starttls', tls: legacyMailTls(bed.certificate) });
    const client = bed.plain(port);
    await lineOf(client);
    client.write('STARTTLS\r\n');
    await lineOf(client);
    const secure = bed.secure(client);
    expect(await lineOf(secure)).toBe('secured');
    expect(secure.getProtocol()).toBe('TLSv1.3');
    expect(door.accepted.map(({ security }) => security)).toEqual(['clear', 'legacy-tls']);
  });
});

describe('a connection at its door', () => {
  it('says who is there, by network', async () => {
    const { port, door } = await bed.open();
    await lineOf(bed.dial(port));
    const [connection] = door.accepted;
    expect(connection?.peer).toMatchObject({
      address: '127.0.0.1',
      network: '127.0.0.1/32',
      localPort: port,
    });
    expect(connection?.sessionId).toMatch(/^[\w-]{12}$/);
    expect(connection?.security).toBe('tls');
    expect(await connection?.secure()).toBeNull();
  });

  it('has its half closed by the client and still answers', async () => {
    const { port } = await bed.open();
    const client = bed.dial(port, { allowHalfOpen: true });
    await lineOf(client);
    client.end('last\r\n');
    expect(await lineOf(client)).toBe('echo last');
  });

  it('wire 67: has keep-alive from the accept on', async () => {
    const { port } = await bed.open();
    const client = bed.dial(port);
    await lineOf(client);
    // The timer of an unconfirmed segment hides it for a moment.
    await until(async () => /keepalive/.test(await timersOf(client.localPort ?? 0)));
  });
});

describe('the end of a listener', () => {
  it('wire 68: what is on its way to the door ends, what the door has goes on', async () => {
    const { port, listener } = await bed.open();
    const talking = bed.dial(port);
    await lineOf(talking);
    const handshaking = bed.plain(port);
    await once(handshaking, 'connect');
    await until(() => listener.networks > 0);
    listener.close();
    await closed(handshaking);
    talking.write('still\r\n');
    expect(await lineOf(talking)).toBe('echo still');
    expect(await failureOf(bed.plain(port))).toBe('ECONNREFUSED');
  });

  it('a port that is taken is told, and nothing stays', async () => {
    const { port } = await bed.open();
    await expect(bed.open({ port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });
});

/** What the system says of the server's end of a connection. */
async function timersOf(clientPort: number): Promise<string> {
  return await run('ss', ['-tnoH', `dport = :${clientPort}`]);
}
