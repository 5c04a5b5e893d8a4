import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';

const root = resolve(import.meta.dirname, '..');
const sources = files(join(root, 'src'));

/** What each layer may import of ours besides itself. Leaves are open to all but `protocol`. */
const below: Readonly<Record<string, readonly string[]>> = {
  'secret.ts': [],
  config: ['secret.ts', 'observability'],
  observability: [],
  protocol: ['secret.ts'],
  store: ['config', 'observability', 'secret.ts', 'protocol'],
  credentials: ['config', 'observability', 'secret.ts', 'protocol', 'store'],
  identity: ['config', 'observability', 'secret.ts', 'protocol', 'store', 'credentials'],
  upstream: ['config', 'observability', 'secret.ts', 'protocol', 'store', 'credentials'],
  proxy: ['config', 'observability', 'secret.ts', 'protocol', 'store', 'credentials', 'identity', 'upstream'],
  portal: [
    'config',
    'observability',
    'secret.ts',
    'protocol',
    'store',
    'credentials',
    'identity',
    'upstream',
  ],
  control: ['config', 'observability', 'secret.ts', 'protocol', 'store', 'credentials'],
};
const top = ['main.ts', 'assembly', 'cli', 'demo'];

describe('layers', () => {
  it('import downward only', () => {
    const upward = sources.flatMap((file) => {
      const layer = layerOf(file);
      const allowed = top.includes(layer) ? null : [layer, ...(below[layer] ?? [])];
      return importsOf(file)
        .filter((target) => target.startsWith('.'))
        .map((target) => layerOf(resolve(dirname(file), target)))
        .filter((target) => allowed !== null && !allowed.includes(target))
        .map((target) => `${relative(root, file)} imports ${target}`);
    });
    expect(upward).toEqual([]);
  });

  it('name every folder of the sources', () => {
    const unknown = sources.map(layerOf).filter((layer) => !(layer in below) && !top.includes(layer));
    expect(unknown).toEqual([]);
  });

  it('keep the protocol pure: no package, no built-in module, no timer, no process', () => {
    const impure = sources
      .filter((file) => layerOf(file) === 'protocol')
      .flatMap((file) => {
        const modules = importsOf(file).filter((target) => !target.startsWith('.'));
        const globals =
          code(file).match(/\b(setTimeout|setInterval|setImmediate|process|Date|console|fetch)\b[.(]/g) ?? [];
        return [...modules, ...globals].map((what) => `${relative(root, file)}: ${what}`);
      });
    expect(impure).toEqual([]);
  });
});

describe('rules that a reader can rely on', () => {
  it('S-38: keys are used in two modules only', () => {
    const users = sources.filter((file) =>
      /\b(createHmac|createCipheriv|createDecipheriv|hkdfSync)\b/.test(code(file)),
    );
    expect(users.map((file) => relative(join(root, 'src/credentials'), file)).sort()).toEqual([
      'derive.ts',
      'seal.ts',
    ]);
  });

  it('S-44: no certificate goes unchecked', () => {
    const careless = [...sources, ...files(join(root, 'bin'))].filter((file) =>
      /rejectUnauthorized:\s*false|NODE_TLS_REJECT_UNAUTHORIZED/.test(code(file)),
    );
    expect(careless).toEqual([]);
  });

  it('S-32: SQL text holds no value', () => {
    const raw = sources.filter((file) => /\bsql\.raw\b|sql`[^`]*\$\{(?!sql\.)[^}]*\.raw/.test(code(file)));
    expect(raw).toEqual([]);
  });

  it('no drawer is named utils', () => {
    const drawers = sources.filter((file) =>
      /(^|\/)(utils?|helpers?|common|misc|manager|tools)(\/|\.ts$)/.test(file),
    );
    expect(drawers).toEqual([]);
  });

  it('no source file is longer than 300 lines', () => {
    // A catalogue is one language, however much the pages say.
    const written = sources.filter((file) => !file.includes('/portal/locales/'));
    const long = written.filter((file) => readFileSync(file, 'utf8').split('\n').length > 301);
    expect(long.map((file) => relative(root, file))).toEqual([]);
  });
});

function files(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(ts|js)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => !file.includes('/portal/assets/'));
}

function layerOf(file: string): string {
  return relative(join(root, 'src'), file).split('/')[0] ?? '';
}

function code(file: string): string {
  return readFileSync(file, 'utf8').replace(/\/\*[\s\S]*?\*\/|(?<!:)\/\/.*$/gm, '');
}

function importsOf(file: string): string[] {
  const statements =
    /^\s*(?:import|export)\b[^;]*?\bfrom\s+'([^']+)'|^import\s+'([^']+)'|\bimport\(\s*'([^']+)'/gm;
  return [...code(file).matchAll(statements)].map((match) => match[1] ?? match[2] ?? match[3] ?? '');
}
