import { once } from 'node:events';
import { readdir, readFile, stat } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { makeThrowAwayCertificates, type ThrowAwayCertificates } from '../../src/demo/certificates.ts';
import { makeScratchFolder, type ScratchFolder } from '../../src/demo/scratch-folder.ts';

describe('throw-away certificates', () => {
  let scratch: ScratchFolder;
  let certificates: ThrowAwayCertificates;

  beforeAll(async () => {
    scratch = await makeScratchFolder();
    certificates = await makeThrowAwayCertificates(scratch.path);
  });
  afterAll(() => scratch.remove());

  it.each(['localhost', 'mail.example.com', '127.0.0.1', '::1'])('verify for %s', async (name) => {
    const server = createServer(await pair(certificates)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const socket: TLSSocket = connect({
      port,
      host: '127.0.0.1',
      ca: certificates.ca,
      checkServerIdentity: () => undefined,
    });
    await once(socket, 'secureConnect');
    const certificate = socket.getPeerX509Certificate();
    expect(socket.authorized).toBe(true);
    expect(certificate?.checkHost(name) ?? certificate?.checkIP(name)).toBe(name);
    expect(certificate?.publicKey.asymmetricKeyDetails?.namedCurve).toBe('prime256v1');
    socket.destroy();
    server.close();
  });

  it('keep the key private and the authority unable to sign again', async () => {
    expect((await stat(certificates.keyFile)).mode & 0o777).toBe(0o600);
    expect((await readdir(scratch.path)).sort()).toEqual(['ca.pem', 'mail.key', 'mail.pem']);
  });
});

async function pair({ certFile, keyFile }: ThrowAwayCertificates): Promise<{ cert: Buffer; key: Buffer }> {
  return { cert: await readFile(certFile), key: await readFile(keyFile) };
}
