import { Secret } from '../secret.ts';
import type { Findings } from './read-certificates.ts';
import type { Config } from './schema.ts';
import { readSetting } from './setting-file.ts';

/** What the canary account logs in with, and must not be let in with. */
export interface CanarySecrets {
  readonly appPassword: Secret;
  readonly mainPassword: Secret | null;
  readonly revokedPassword: Secret | null;
}

/** null where there is no canary, or a file is of no use: that is among the problems then. */
export async function readCanarySecrets(
  { canary, domains, defaultDomain, listen }: Pick<Config, 'canary' | 'domains' | 'defaultDomain' | 'listen'>,
  { problems, warnings }: Findings,
): Promise<CanarySecrets | null> {
  if (canary === null) return null;
  const at = canary.account.lastIndexOf('@');
  const domain = at === -1 ? defaultDomain : canary.account.slice(at + 1).toLowerCase();
  if (domain === null || !Object.hasOwn(domains, domain)) {
    problems.push(`canary.account: ${canary.account} is of no domain among domains`);
  }
  for (const [index, { proxyProtocolFrom }] of listen.entries()) {
    if (proxyProtocolFrom.length > 0) {
      warnings.push(`listen.${index}: the canary cannot try a port that expects a PROXY header`);
    }
  }
  const secretOf = async (setting: string, file: string | null): Promise<Secret | null> => {
    if (file === null) return null;
    const text = (await readSetting(setting, file, problems))?.toString('utf8').replace(/\r?\n$/, '');
    if (text === '') problems.push(`${setting}: ${file} is empty`);
    else if (text !== undefined && /[\0-\x1f\x7f]/.test(text)) {
      problems.push(`${setting}: ${file} holds a control character or a second line`);
    } else if (text !== undefined) return Secret.fromText(text);
    return null;
  };
  const appPassword = await secretOf('canary.app_password_file', canary.appPasswordFile);
  const mainPassword = await secretOf('canary.main_password_file', canary.mainPasswordFile);
  const revokedPassword = await secretOf('canary.revoked_password_file', canary.revokedPasswordFile);
  if (canary.mainPasswordFile === null) {
    warnings.push('canary.main_password_file: without it nobody notices when a door takes main passwords');
  }
  return appPassword === null ? null : { appPassword, mainPassword, revokedPassword };
}
