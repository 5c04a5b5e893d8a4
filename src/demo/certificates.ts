import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './program.ts';

/** A throw-away certificate authority and one server certificate of it; its key was deleted after that one use. */
export interface ThrowAwayCertificates {
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
  readonly ca: Buffer;
}

const settings = `
[req]
distinguished_name = name
prompt = no
[name]
[ca]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = @names
[names]
DNS.1 = localhost
DNS.2 = mail.example.com
IP.1 = 127.0.0.1
IP.2 = ::1
`;

/**
 * Makes P-256 certificates for `localhost`, `mail.example.com` and both loopback addresses, valid for 30 days,
 * as `ca.pem`, `mail.pem` and `mail.key` (mode 0600) in an existing folder.
 */
export async function makeThrowAwayCertificates(folder: string): Promise<ThrowAwayCertificates> {
  const caFile = join(folder, 'ca.pem');
  const certFile = join(folder, 'mail.pem');
  const keyFile = join(folder, 'mail.key');
  const caKeyFile = join(folder, 'ca.key');
  const settingsFile = join(folder, 'openssl.cnf');
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc'];
  const certificate = ['req', '-x509', '-config', settingsFile, '-days', '30', ...newKey];
  await writeFile(settingsFile, settings);
  await run('openssl', [
    ...certificate,
    ...['-extensions', 'ca', '-subj', '/CN=Sallyport throw-away CA', '-keyout', caKeyFile, '-out', caFile],
  ]);
  await run('openssl', [
    ...certificate,
    ...['-extensions', 'server', '-subj', '/CN=mail.example.com', '-CA', caFile, '-CAkey', caKeyFile],
    ...['-keyout', keyFile, '-out', certFile],
  ]);
  // Nobody can sign a second certificate under a CA that somebody told their mail client to trust.
  await rm(caKeyFile);
  await rm(settingsFile);
  return { caFile, certFile, keyFile, ca: await readFile(caFile) };
}
