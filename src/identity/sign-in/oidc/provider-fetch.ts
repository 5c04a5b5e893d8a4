import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import type { CustomFetchOptions } from 'openid-client';

/** The provider could not be asked, or answered as one that is out of order: says nothing about the person. */
export class ProviderFault extends Error {
  override readonly name = 'ProviderFault';
}

/** S-51 */
const requestMs = 10_000;
const answerBytes = 1_048_576;

export type ProviderFetch = (url: string, options: CustomFetchOptions) => Promise<Response>;

/**
 * How the gateway talks to an identity provider (S-51): TLS 1.2 at least, by the named authority where there is one, no
 * redirect followed, 10 seconds and 1 MB for everything. Rejects with a {@link ProviderFault}.
 */
export function createProviderFetch(options: {
  /** PEM; null for the authorities that the system trusts. */
  readonly ca: Buffer | null;
  readonly requestMs?: number;
}): ProviderFetch {
  const limitMs = options.requestMs ?? requestMs;
  // No connection is kept: one that the provider has closed meanwhile would fail a sign-in that cannot be repeated.
  const agent = new Agent({
    keepAlive: false,
    minVersion: 'TLSv1.2',
    ...(options.ca === null ? {} : { ca: options.ca }),
  });
  return async (address, { method, headers, body }) => {
    if (!address.startsWith('https://')) throw new ProviderFault('an address of the provider is not https');
    const { promise, resolve, reject } = Promise.withResolvers<Response>();
    const outgoing = request(address, { method, headers, agent });
    const deadline = setTimeout(() => {
      reject(new ProviderFault(`no whole answer within ${limitMs / 1_000} s`));
      outgoing.destroy();
    }, limitMs);
    outgoing.on('response', (incoming) => void readAnswer(incoming).then(resolve, reject));
    outgoing.on('error', reject);
    outgoing.end(body === null || body === undefined ? undefined : textOf(body));
    try {
      return await promise;
    } catch (error) {
      throw error instanceof ProviderFault ? error : new ProviderFault('not reached', { cause: error });
    } finally {
      clearTimeout(deadline);
      outgoing.destroy();
    }
  };
}

async function readAnswer(incoming: IncomingMessage): Promise<Response> {
  const status = incoming.statusCode ?? 0;
  if (status >= 300 && status < 400) throw new ProviderFault(`redirects with ${status}`);
  if (status < 200 || status >= 500 || status === 429) throw new ProviderFault(`answers ${status}`);
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > answerBytes) throw new ProviderFault('answers more than 1 MB');
    chunks.push(chunk);
  }
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming.headers)) {
    if (typeof value === 'string') headers.set(name, value);
  }
  // A body is not allowed with these, not even an empty one.
  const isBare = status === 204 || status === 205;
  return new Response(isBare ? null : Buffer.concat(chunks), { status, headers });
}

function textOf(body: NonNullable<CustomFetchOptions['body']>): string {
  if (typeof body === 'string') return body;
  if (body instanceof URLSearchParams) return body.toString();
  throw new TypeError('a body that no request of ours has');
}
