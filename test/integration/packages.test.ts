import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';

const root = join(import.meta.dirname, '../..');
const readJson = (path: string): never => JSON.parse(readFileSync(join(root, path), 'utf8')) as never;

interface Manifest {
  readonly version: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly overrides?: Readonly<Record<string, string>>;
  readonly scripts?: Readonly<Record<string, string>>;
}
interface Lock {
  readonly packages: Readonly<Record<string, { readonly integrity?: string; readonly resolved?: string }>>;
}

describe('S-96: what is installed is what was reviewed', () => {
  it.each(['package.json', 'tools/runtime/package.json'])('%s names exact versions', (path) => {
    const { dependencies, devDependencies, overrides } = readJson(path) as Manifest;
    const versions = Object.entries({ ...dependencies, ...devDependencies, ...overrides });
    expect(versions.length).toBeGreaterThan(0);
    expect(versions.filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([]);
  });

  it.each(['package-lock.json', 'tools/runtime/package-lock.json'])(
    '%s has a checksum for everything',
    (path) => {
      const { packages } = readJson(path) as Lock;
      const entries = Object.entries(packages).filter(([place]) => place !== '');
      expect(entries.length).toBeGreaterThan(0);
      expect(
        entries.filter(([, { integrity }]) => !integrity?.startsWith('sha512-')).map(([place]) => place),
      ).toEqual([]);
    },
  );

  it("no script runs at an installation, neither a package's nor ours", () => {
    expect(readFileSync(join(root, '.npmrc'), 'utf8').split('\n')).toContain('ignore-scripts=true');
    const { scripts } = readJson('package.json') as Manifest;
    expect(Object.keys(scripts ?? {}).filter((name) => /^(pre|post)?(install|prepare)$/.test(name))).toEqual(
      [],
    );
  });
});

describe('S-97: nothing older than the last known hole', () => {
  const floors: Readonly<Record<string, string>> = {
    'smtp-server': '3.21.6',
    nodemailer: '9.1.1',
    imapflow: '1.6.4',
    fastify: '5.12.2',
    '@fastify/static': '10.1.1',
    '@simplewebauthn/server': '13.3.2',
  };

  it('among the installed packages, wherever in the tree they are', () => {
    const { packages } = readJson('package-lock.json') as Lock;
    const places = Object.keys(packages).filter((place) => nameOf(place) in floors);
    expect(places.map(nameOf)).toEqual(
      expect.arrayContaining(['smtp-server', 'nodemailer', 'imapflow', 'fastify']),
    );
    const old = places
      .map((place) => ({ place, ...(readJson(`${place}/package.json`) as Manifest) }))
      .filter(({ place, version }) => compare(version, floors[nameOf(place)] ?? '') < 0);
    expect(old).toEqual([]);
  });

  it('Node is at least 24.18.1', () => {
    expect(compare(process.versions.node, '24.18.1')).toBeGreaterThanOrEqual(0);
  });

  it('the comparison knows numbers from letters', () => {
    expect(compare('10.0.0', '9.9.9')).toBeGreaterThan(0);
    expect(compare('1.2.3', '1.2.10')).toBeLessThan(0);
  });
});

function nameOf(place: string): string {
  return place.slice(place.lastIndexOf('node_modules/') + 'node_modules/'.length);
}

function compare(one: string, other: string): number {
  const numbers = (version: string): number[] => version.split('.').map(Number);
  const floor = numbers(other);
  return (
    numbers(one)
      .map((part, index) => part - (floor[index] ?? 0))
      .find((difference) => difference !== 0) ?? 0
  );
}
