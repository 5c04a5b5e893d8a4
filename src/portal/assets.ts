import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const types = {
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
} as const;

/** A file that browsers keep for good, because its name changes with its content. */
export interface Asset {
  readonly path: string;
  readonly type: string;
  readonly body: Buffer;
  /** The same, gzip. Pages have none: they hold tokens beside text of others, and lengths would tell (BREACH). */
  readonly gzipped: Buffer;
}

/** The portal's style sheet, its scripts and its signs. */
export interface Assets {
  readonly styles: Asset;
  readonly copyScript: Asset;
  /** Says when the session is about to end. */
  readonly sessionScript: Asset;
  /** Takes the token of a profile link out of the address. */
  readonly linkScript: Asset;
  /** @simplewebauthn/browser and what uses it. */
  readonly passkeyScript: Asset;
  readonly printScript: Asset;
  readonly mark: Asset;
  /** Symbols, by their ids. */
  readonly icons: Asset;
}

/** Reads the fixed set of files; throws where one is missing. */
export function loadAssets(): Assets {
  return {
    styles: load('portal', 'css'),
    copyScript: load('copy', 'js'),
    sessionScript: load('session', 'js'),
    linkScript: load('link', 'js'),
    passkeyScript: asset('passkey', 'js', Buffer.concat([webauthnBundle(), read('passkey', 'js')])),
    printScript: load('print', 'js'),
    mark: load('mark', 'svg'),
    icons: load('icons', 'svg'),
  };
}

function load(name: string, extension: keyof typeof types): Asset {
  return asset(name, extension, read(name, extension));
}

function read(name: string, extension: keyof typeof types): Buffer {
  return readFileSync(new URL(`./assets/${name}.${extension}`, import.meta.url));
}

/** The package's build for browsers, which is not among its exports. */
function webauthnBundle(): Buffer {
  const main = import.meta.resolve('@simplewebauthn/browser');
  return readFileSync(new URL('../dist/bundle/index.umd.min.js', main));
}

function asset(name: string, extension: keyof typeof types, body: Buffer): Asset {
  const hash = createHash('sha256').update(body).digest('base64url').slice(0, 12);
  return {
    path: `/assets/${name}.${hash}.${extension}`,
    type: types[extension],
    body,
    gzipped: gzipSync(body, { level: 9 }),
  };
}
