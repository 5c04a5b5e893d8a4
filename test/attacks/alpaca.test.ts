/*
 * ALPACA (Brinkmann et al., USENIX Security 2021, alpaca-attack.com): a page's HTTPS request is led to a mail port of the
 * same certificate, and what the mail server answers runs as that page.
 *
 * Policy. A client that offers other protocols than the port's own (ALPN) never gets through the handshake: it hears the
 * alert no_application_protocol, on ports that begin in clear as well. A client without ALPN is a mail program. A server
 * name of somebody else does not change the certificate, so that a browser sees a name that does not match.
 */
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { ListenerBed, lineOf, openssl } from '../proxy/listener-bed.ts';

let bed: ListenerBed;

beforeAll(async () => {
  bed = await ListenerBed.make();
});
afterEach(() => bed.close());

const own = [
  ['imap', ['imap']],
  ['pop3', ['pop3']],
  ['smtp', ['smtp', 'submission']],
] as const;

describe.each(own)('wire 119: a port of %s', (protocol, names) => {
  it('S-09: tells a browser nothing', async () => {
    const { port, door } = await bed.open({ protocol });
    for (const offered of ['http/1.1', 'h2,http/1.1', 'http/0.9', 'ftp', 'xmpp-client', `${names[0]}x`]) {
      expect(await openssl(port, ['-alpn', offered])).toMatch(
        /alert no application protocol|alert number 120/,
      );
    }
    expect(door.accepted).toHaveLength(0);
  });

  it('tells another mail protocol nothing', async () => {
    const { port, door } = await bed.open({ protocol });
    const others = own.filter(([other]) => other !== protocol).flatMap(([, otherNames]) => otherNames);
    for (const other of others) {
      expect(await openssl(port, ['-alpn', other])).toMatch(/alert number 120/);
    }
    expect(door.accepted).toHaveLength(0);
  });

  it.each(names)('takes %s, also among others', async (name) => {
    const { port } = await bed.open({ protocol });
    expect(await openssl(port, ['-alpn', name])).toContain(`ALPN protocol: ${name}`);
    expect(await openssl(port, ['-alpn', `http/1.1,${name}`])).toContain(`ALPN protocol: ${name}`);
  });

  it('takes a program that knows no ALPN', async () => {
    const { port } = await bed.open({ protocol });
    expect(await openssl(port, [])).toContain('hello');
  });
});

it('wire 119: the same holds after STARTTLS', async () => {
  const { port, door } = await bed.open({ mode: 'starttls' });
  const client = bed.plain(port);
  await lineOf(client);
  client.write('STARTTLS\r\n');
  await lineOf(client);
  expect(await lineOf(bed.secure(client, { ALPNProtocols: ['http/1.1'] }))).toBe('closed');
  expect(door.accepted.map(({ security }) => security)).toEqual(['clear']);
});

it('wire 121: a name of a web site gets the mail certificate', async () => {
  const { port } = await bed.open();
  const client = bed.dial(port, { servername: 'www.example.com' });
  const error = await new Promise<Error & { code?: string }>((resolve) => client.once('error', resolve));
  expect(error.code).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
});
