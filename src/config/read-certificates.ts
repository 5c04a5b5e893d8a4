import { createPrivateKey, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { type CertificateFiles, describe } from './certificate.ts';
import { fileProblem, readSetting } from './setting-file.ts';

/** What is found out while files are read. */
export interface Findings {
  readonly problems: string[];
  readonly warnings: string[];
}

const smallestRsaBits = 2_048;

/** Reads the certificates of one setting, such as `tls.certificates`; those that are of no use are left out and told. */
export async function readCertificates(
  setting: string,
  files: readonly { readonly cert: string; readonly key: string }[],
  { problems, warnings }: Findings,
  now: Date,
): Promise<CertificateFiles[]> {
  const usable: CertificateFiles[] = [];
  /** By key type and name: which of two would be sent could not be told. */
  const carriers = new Map<string, string>();
  for (const [index, { cert, key }] of files.entries()) {
    const place = `${setting}.${index}`;
    const certPem = await readSetting(`${place}.cert`, cert, problems);
    const keyPem = await readSetting(`${place}.key`, key, problems);
    if (certPem === null || keyPem === null) continue;
    const problem = certificateProblem(certPem, keyPem);
    if (problem !== null) {
      problems.push(`${place}: ${problem}`);
      continue;
    }
    const { names, keyType } = describe(certPem);
    for (const name of names) {
      const earlier = carriers.get(`${keyType} ${name}`);
      if (earlier === undefined) carriers.set(`${keyType} ${name}`, place);
      else
        problems.push(`${place}: ${name} is in ${earlier} already, with a key of the same type (${keyType})`);
    }
    if (names.length === 0 && index > 0) {
      warnings.push(`${place}: ${cert} carries no DNS name, so no client can ask for it`);
    }
    const lapse = validityWarning(certPem, now);
    if (lapse !== null) warnings.push(`${place}: ${cert} ${lapse}`);
    usable.push({ cert: certPem, key: keyPem });
  }
  return usable;
}

function certificateProblem(cert: Buffer, key: Buffer): string | null {
  try {
    const certificate = new X509Certificate(cert);
    if (!certificate.checkPrivateKey(createPrivateKey(key))) {
      return 'the key does not belong to the certificate';
    }
    const bits = certificate.publicKey.asymmetricKeyDetails?.modulusLength ?? smallestRsaBits;
    if (bits < smallestRsaBits) {
      return `an RSA key of ${bits} bits is too weak; ${smallestRsaBits} at least`;
    }
    // Sees the rest of the chain too, before a listener would.
    createSecureContext({ cert, key });
    return null;
  } catch (error) {
    return `is not a PEM certificate and key: ${fileProblem(error)}`;
  }
}

function validityWarning(cert: Buffer, now: Date): string | null {
  const { validFromDate, validToDate } = new X509Certificate(cert);
  if (validToDate <= now) return `expired on ${validToDate.toISOString().slice(0, 10)}`;
  return validFromDate > now ? `is not valid before ${validFromDate.toISOString().slice(0, 10)}` : null;
}
