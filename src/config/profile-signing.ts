import { createPrivateKey } from 'node:crypto';
import type { CertificateFiles } from './certificate.ts';
import { type Findings, readCertificates } from './read-certificates.ts';
import type { Config } from './schema.ts';
import { portalCertificates } from './server-tls.ts';

/** The files of `portal.profile_signing`, null where it names none; what is wrong with them goes into the findings. */
export async function readProfileSigning(
  { portal }: Pick<Config, 'portal'>,
  findings: Findings,
  now: Date,
): Promise<CertificateFiles | null> {
  if (typeof portal.profileSigning === 'string') return null;
  const setting = 'portal.profile_signing';
  const own: Findings = { problems: [], warnings: [] };
  const [files] = await readCertificates(setting, [portal.profileSigning], own, now);
  const named = (text: string) => text.replace(`${setting}.0`, setting);
  findings.problems.push(...own.problems.map(named));
  findings.warnings.push(...own.warnings.map(named));
  if (files === undefined) return null;
  if (canSign(files)) return files;
  findings.problems.push(`${setting}: needs an RSA or an ECDSA key`);
  return null;
}

/** What profiles are signed with; null leaves them unsigned, which a phone says in red and installs all the same. */
export function profileCertificate(
  config: Pick<Config, 'portal'>,
  secrets: {
    readonly certificates: readonly CertificateFiles[];
    readonly profileSigning: CertificateFiles | null;
  },
): CertificateFiles | null {
  switch (config.portal.profileSigning) {
    case 'none':
      return null;
    case 'tls':
      if (config.portal.tls === 'none') return null;
      return portalCertificates(config, secrets).find(canSign) ?? null;
    default:
      return secrets.profileSigning;
  }
}

/** Apple's devices know the signatures of RSA and ECDSA keys. */
function canSign({ key }: CertificateFiles): boolean {
  return ['rsa', 'ec'].includes(createPrivateKey(key).asymmetricKeyType ?? '');
}
