import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

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
}

/** The portal's style sheet, its one script and its sign. */
export interface Assets {
  readonly styles: Asset;
  readonly copyScript: Asset;
  readonly mark: Asset;
}

/** Reads the fixed set of files; throws where one is missing. */
export function loadAssets(): Assets {
  return { styles: load('portal', 'css'), copyScript: load('copy', 'js'), mark: load('mark', 'svg') };
}

function load(name: string, extension: keyof typeof types): Asset {
  const body = readFileSync(new URL(`./assets/${name}.${extension}`, import.meta.url));
  const hash = createHash('sha256').update(body).digest('base64url').slice(0, 12);
  return { path: `/assets/${name}.${hash}.${extension}`, type: types[extension], body };
}
