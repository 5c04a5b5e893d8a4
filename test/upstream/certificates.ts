import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../../src/demo/program.ts';
import { makeScratchFolder } from '../../src/demo/scratch-folder.ts';
import type { ServerCertificate } from './scripted-backend.ts';

/** Certificates of one authority, and those that must not be believed. */
export interface Certificates {
  readonly ca: Buffer;
  /** For `mail.backend.example` and 127.0.0.1. */
  readonly right: ServerCertificate;
  readonly expired: ServerCertificate;
  /** For `other.backend.example`. */
  readonly wrongName: ServerCertificate;
  /** For `mail.backend.example` by name only. */
  readonly withoutAddress: ServerCertificate;
  readonly selfSigned: ServerCertificate;
}

export async function makeCertificates(): Promise<Certificates> {
  const scratch = await makeScratchFolder();
  const at = (name: string) => join(scratch.path, name);
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc'];
  const load = async (name: string): Promise<ServerCertificate> => ({
    cert: await readFile(at(`${name}.pem`)),
    key: await readFile(at(`${name}.key`)),
  });
  const signed = async (name: string, names: string, days: string): Promise<ServerCertificate> => {
    await writeFile(at('extensions'), `subjectAltName = ${names}\n`);
    const request = ['req', ...newKey, '-subj', `/CN=${name}`];
    await run('openssl', [...request, '-keyout', at(`${name}.key`), '-out', at('request')]);
    await run('openssl', [
      ...[
        'x509',
        '-req',
        '-in',
        at('request'),
        '-CA',
        at('ca.pem'),
        '-CAkey',
        at('ca.key'),
        '-CAcreateserial',
      ],
      ...['-days', days, '-extfile', at('extensions'), '-out', at(`${name}.pem`)],
    ]);
    return await load(name);
  };
  try {
    const own = ['req', '-x509', '-days', '30', ...newKey];
    await run('openssl', [...own, '-subj', '/CN=authority', '-keyout', at('ca.key'), '-out', at('ca.pem')]);
    await run('openssl', [
      ...own,
      ...['-subj', '/CN=self', '-addext', 'subjectAltName=DNS:mail.backend.example,IP:127.0.0.1'],
      ...['-keyout', at('self.key'), '-out', at('self.pem')],
    ]);
    const both = 'DNS:mail.backend.example, DNS:a.example, IP:127.0.0.1';
    return {
      ca: await readFile(at('ca.pem')),
      right: await signed('right', both, '30'),
      expired: await signed('expired', both, '-1'),
      wrongName: await signed('wrong', 'DNS:other.backend.example', '30'),
      withoutAddress: await signed('name', 'DNS:mail.backend.example', '30'),
      selfSigned: await load('self'),
    };
  } finally {
    await scratch.remove();
  }
}
