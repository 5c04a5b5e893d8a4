import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { pageWithTests } from '../scripts/wire-tests.ts';

const root = resolve(import.meta.dirname, '..');
const requirements = read('docs/requirements.md');
const wire = read('docs/wire.md');

/** Numbers that have a row or a heading. */
const published: ReadonlySet<string> = new Set([
  ...found(requirements, /^\| (S-\d+) \|/gm),
  ...found(requirements, /^### (\d\.\d+) /gm).map((number) => `requirements ${number}`),
  ...found(wire, /^\| (wire \d+|smtp-server \d+) \|/gm),
]);

/** Where people read: what `npm run build` and the servers of the tests leave behind is not among it. */
const texts = [
  ...['src', 'test', 'docs', 'scripts', 'bin', 'config', 'deploy', '.ci'].flatMap(files),
  ...['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'Dockerfile'],
]
  .filter((file) => file !== relative(root, import.meta.filename))
  .map((file) => ({ file, text: read(file) }));

describe('numbers in comments, test titles and pages', () => {
  it('have a row in docs/requirements.md or docs/wire.md', () => {
    const unknown = texts.flatMap(({ file, text }) =>
      [...new Set(references(text))]
        .filter((reference) => !published.has(reference))
        .map((reference) => `${file}: ${reference}`),
    );
    expect(unknown).toEqual([]);
  });

  it('are named by code or test, or their row promises what nobody keeps', () => {
    const named = new Set(
      texts.filter(({ file }) => !file.startsWith('docs/')).flatMap(({ text }) => references(text)),
    );
    const unnamed = [...published].filter((number) => /^(S-|wire )/.test(number) && !named.has(number));
    expect(unnamed).toEqual([]);
  });

  it('of the wire have a row or a departure each, and every row its tests', () => {
    const departed = found(wire, /^\| departure ([\d, ]+) \|/gm).flatMap((list) => list.split(', '));
    const kept = found(wire, /^\| wire (\d+) \|/gm);
    const all = Array.from({ length: 158 }, (_, index) => String(index + 1));
    expect([...kept, ...departed].toSorted((one, other) => Number(one) - Number(other))).toEqual(all);
    expect(found(wire, /^\| (wire \d+) \| .* \|\s*\|$/gm)).toEqual([]);
  });

  it('of the wire say where they are tested, as scripts/wire-tests.ts writes it', () => {
    expect(pageWithTests()).toBe(wire);
  });

  it('have one row each', () => {
    const rows = [...found(requirements, /^\| (S-\d+) \|/gm), ...found(wire, /^\| ([a-z-]+ \d+) \|/gm)];
    expect(rows.filter((row, index) => rows.indexOf(row) !== index)).toEqual([]);
    expect(rows.length).toBeGreaterThan(150);
  });

  it('name no page that a stranger does not have', () => {
    const elsewhere = /\b(?:security|wire|design|hotpath|deps|peers|style)(?:\.md)? (?:Q\b|\d+\.\d)|\bQ\.\d/;
    const lost = texts.flatMap(({ file, text }) =>
      text
        .split('\n')
        .filter((line) => elsewhere.test(line) || /\b(?:design \d|(?:hotpath|deps|peers)\.md)/.test(line))
        .map((line) => `${file}: ${line.trim()}`),
    );
    expect(lost).toEqual([]);
  });

  it('are read from lists, and not from versions', () => {
    expect(references('S-54, wire 56, 45; Wire 75 and requirements 3.2, 4.3: see smtp-server 4, 8.')).toEqual(
      [
        'S-54',
        'wire 56',
        'wire 45',
        'wire 75',
        'requirements 3.2',
        'requirements 4.3',
        'smtp-server 4',
        'smtp-server 8',
      ],
    );
    expect(references('smtp-server 3.21.6, SHA-256, HS-512, wire 1.5, PS-384')).toEqual([]);
  });
});

it('docs/requirements.md lists the labels of derived keys that the code uses', () => {
  const cells = found(requirements, /^\| (?:pepper|mac|seal|webhook) \| (.*) \|$/gm);
  const listed = cells.flatMap((cell) => found(cell, /`([^`]+)`/g)).map((label) => `sallyport/v1/${label}`);
  const purposes = found(read('src/credentials/seal.ts'), /readonly purpose:\s([^;]+);/g).join('');
  const used = [
    ...texts
      .filter(({ file }) => file.startsWith('src/'))
      .flatMap(({ text }) => found(text, /'(sallyport\/v1\/[a-z0-9/-]+)'/g))
      // The first field of the associated data, not a key.
      .filter((label) => label !== 'sallyport/v1/seal'),
    ...found(purposes, /'([a-z-]+)'/g).map((purpose) => `sallyport/v1/seal/${purpose}`),
  ];
  expect(listed.toSorted()).toEqual(used.toSorted());
});

it('the vectors of docs/requirements.md are those that are tested', () => {
  const tests = ['vectors', 'app-password'].map((name) => read(`test/credentials/${name}.test.ts`)).join('');
  const section = /^### 3\.12 [\s\S]*?(?=^## )/m.exec(requirements)?.[0] ?? '';
  const results = found(section, /^\|.*\| (`.*`) \|$/gm).flatMap((cell) => found(cell, /`([^`]+)`/g));
  expect(results.length).toBeGreaterThan(10);
  expect(results.filter((result) => !tests.includes(result))).toEqual([]);
});

function references(text: string): string[] {
  const lists: readonly (readonly [string, RegExp])[] = [
    ['wire', /\bwire (\d+(?:, \d+)*)(?!\d|\.\d)/gi],
    ['requirements', /\brequirements (\d\.\d+(?:, \d\.\d+)*)/gi],
    ['smtp-server', /\bsmtp-server (\d+(?:, \d+)*)(?!\d|\.\d)/gi],
  ];
  return [
    ...found(text, /(?<![\w-])(S-\d+)\b/g),
    ...lists.flatMap(([name, pattern]) =>
      found(text, pattern).flatMap((list) => list.split(', ').map((number) => `${name} ${number}`)),
    ),
  ];
}

function found(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map((match) => match[1] ?? '');
}

function files(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !/\.(pem|key|woff2?)$/.test(entry.name))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)));
}

function read(file: string): string {
  return readFileSync(join(root, file), 'utf8');
}
