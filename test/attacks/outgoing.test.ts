/*
 * Whom the gateway connects to stands in its configuration and nowhere else (S-51). What fetches addresses it was given,
 * follows redirects or reads a proxy from its environment can be sent to a metadata service or to another backend.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, expect, it } from '@jest/globals';

const root = join(import.meta.dirname, '../../src');
const sources = readdirSync(root, { recursive: true, withFileTypes: true })
  // What browsers run is bound by the pages' own policy (S-64).
  .filter((entry) => entry.isFile() && /\.(ts|js)$/.test(entry.name) && !entry.parentPath.includes('assets'))
  .map((entry) => join(entry.parentPath, entry.name))
  .map((file) => ({ file: relative(root, file), code: code(readFileSync(file, 'utf8')) }));

/** Files that match, beside those that may. */
function others(pattern: RegExp, allowed: RegExp): readonly string[] {
  return sources
    .filter(({ file, code }) => pattern.test(code) && !allowed.test(file))
    .map(({ file }) => file);
}

describe('S-51: outgoing connections', () => {
  it('no HTTP request is made but to the identity provider and the webhook of the configuration', () => {
    const client =
      /(?<![.#\w])fetch\(|\bhttps?\.(?:request|get)\(|\bimport\s+\{[^}]*\brequest\b[^}]*\}\s+from\s+'node:https?'|from '(?:undici|axios|got|node-fetch|node:http2)'/;
    expect(others(client, /^identity\/(?:sign-in\/)?oidc|^upstream\/notice-webhook/)).toEqual([]);
    expect('const answer = await fetch(url)').toMatch(client);
    expect("import { request } from 'node:https'").toMatch(client);
  });

  it('no browser script of the portal names a host', () => {
    const folder = join(root, 'portal/assets');
    const scripts = readdirSync(folder).filter((name) => name.endsWith('.js'));
    expect(scripts.length).toBeGreaterThan(1);
    const naming = scripts.filter((name) =>
      /\bhttps?:|['"`]\/\//.test(code(readFileSync(join(folder, name), 'utf8'))),
    );
    expect(naming).toEqual([]);
  });

  it('sockets are opened by the dialler, to Redis and to our own doors; by the demo and the control socket on this machine', () => {
    const dialler = /from 'node:(?:net|tls)'/;
    const opens = /(?<![.\w#])(?:connect|connectBy|netConnect|tlsConnect|createConnection)\(/;
    const files = sources
      .filter(({ code }) => dialler.test(code) && opens.test(code))
      .map(({ file }) => file);
    expect(files.filter((file) => !/^(?:control|demo)\//.test(file)).sort()).toEqual([
      'assembly/canary-login.ts',
      'credentials/redis-connector.ts',
      'upstream/connect-first.ts',
      'upstream/dial.ts',
      'upstream/shared-reads.ts',
    ]);
  });

  it('nothing reads a proxy from the environment', () => {
    expect(others(/\bHTTPS?_PROXY\b|\bALL_PROXY\b/i, /^$/)).toEqual([]);
  });
});

function code(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\/|(?<!:)\/\/.*$/gm, '');
}
