/*
 * Renegotiation of TLS 1.2: free work for a client (CVE-2011-1473), bytes of two parties in one stream (CVE-2009-3555), and a
 * second 'secure' event that once piped a client twice into the parser of smtp-server.
 *
 * Policy. A connection has one handshake. A client that asks for another is refused by OpenSSL itself, on every listener and
 * after STARTTLS; the door never notices.
 */
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { legacyMailTls } from '../../src/config/server-tls.ts';
import { failureOf, ListenerBed, lineOf, openssl } from '../proxy/listener-bed.ts';

let bed: ListenerBed;

beforeAll(async () => {
  bed = await ListenerBed.make();
});
afterEach(() => bed.close());

describe('wire 117: a renegotiation', () => {
  it('S-08: asked for by openssl is refused', async () => {
    const { port, door } = await bed.open();
    const output = await openssl(port, ['-tls1_2'], 'R\n');
    expect(output).toContain('RENEGOTIATING');
    expect(output).toMatch(/no renegotiation/i);
    expect(door.accepted).toHaveLength(1);
  });

  it('is refused on a legacy listener', async () => {
    const { port } = await bed.open({ tls: legacyMailTls(bed.certificate) });
    expect(await openssl(port, ['-tls1', '-cipher', 'ALL@SECLEVEL=0'], 'R\n')).toMatch(/no renegotiation/i);
  });

  it('is refused after STARTTLS', async () => {
    const { port } = await bed.open({ mode: 'starttls' });
    const tcp = bed.plain(port);
    await lineOf(tcp);
    tcp.write('STARTTLS\r\n');
    await lineOf(tcp);
    const client = bed.secure(tcp, { maxVersion: 'TLSv1.2' });
    await lineOf(client);
    const failed = failureOf(client);
    client.renegotiate({}, () => {});
    expect(await failed).toMatch(/NO_RENEGOTIATION/);
  });
});
