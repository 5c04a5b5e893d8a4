import type { Config } from '../../../config/schema.ts';
import type { Secrets } from '../../../config/secrets.ts';
import { IdentityProvider } from './provider.ts';
import { createProviderFetch } from './provider-fetch.ts';

/** The configured identity providers by name, none of them asked yet. */
export function createProviders(
  config: Config,
  secrets: Pick<Secrets, 'oidcProofs' | 'authorities'>,
  options: {
    readonly now: () => number;
    /** 10 s where not given. */
    readonly requestMs?: number;
  },
): ReadonlyMap<string, IdentityProvider> {
  const { now, requestMs } = options;
  return new Map(
    Object.entries(config.oidc).map(([name, settings]) => {
      const proof = secrets.oidcProofs.get(name);
      if (proof === undefined) throw new Error(`oidc.${name} has neither secret nor key`);
      const ca = settings.caFile === null ? null : (secrets.authorities.get(settings.caFile) ?? null);
      const fetch = createProviderFetch(requestMs === undefined ? { ca } : { ca, requestMs });
      const redirectUri = new URL(`/oidc/${name}/callback`, config.portal.publicUrl).href;
      return [name, new IdentityProvider({ settings, proof, redirectUri, fetch, now })];
    }),
  );
}
