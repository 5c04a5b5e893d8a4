import type { OidcProvider } from './oidc-schema.ts';
import type { Findings } from './read-certificates.ts';
import type { Config } from './schema.ts';

/** What is wrong or doubtful about the identity providers, beyond what the schema sees in one value. */
export function checkOidc(config: Config, { problems, warnings }: Findings): void {
  for (const [name, { signIn, enrollment, mfa }] of Object.entries(config.domains)) {
    if (signIn.method !== 'oidc') continue;
    const setting = `domains.${name}.sign_in.provider`;
    const provider = providerOf(config, signIn.provider);
    if (provider === null) {
      problems.push(`${setting}: there is no provider "${signIn.provider}" under oidc`);
    } else if (provider.domains?.includes(name) === false) {
      problems.push(`${setting}: oidc.${signIn.provider}.domains does not list ${name}`);
    }
    if (provider !== null && provider.mfa === null && enrollment === 'idp' && mfa !== 'off') {
      problems.push(
        `domains.${name}.enrollment: idp needs oidc.${signIn.provider}.mfa, or nobody could enroll`,
      );
    }
  }
  for (const [name, provider] of Object.entries(config.oidc)) {
    for (const listed of provider.domains ?? []) {
      if (domainsOf(config, name).includes(listed)) continue;
      problems.push(`oidc.${name}.domains: ${listed} is no domain that signs in with it`);
    }
    if (domainsOf(config, name).length === 0) {
      warnings.push(`oidc.${name}: no domain signs in with it`);
    } else if (!provider.isSingleTenant) {
      warnings.push(
        `oidc.${name}.single_tenant: its e-mail claims are not believed, so each person has to be linked by \`sallyport identity link\``,
      );
    }
  }
}

function providerOf(config: Config, name: string): OidcProvider | null {
  return Object.hasOwn(config.oidc, name) ? (config.oidc[name] ?? null) : null;
}

function domainsOf(config: Config, provider: string): readonly string[] {
  return Object.entries(config.domains)
    .filter(([, { signIn }]) => signIn.method === 'oidc' && signIn.provider === provider)
    .map(([domain]) => domain);
}
