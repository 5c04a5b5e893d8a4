// Writes into docs/wire.md, behind each number, the test files whose titles carry it: node scripts/wire-tests.ts
// test/references.test.ts fails where the page is not what this would write.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');
const page = join(root, 'docs/wire.md');

/** docs/wire.md as its rows and the tests' titles make it. */
export function pageWithTests(): string {
  const files = filesByNumber();
  return readFileSync(page, 'utf8')
    .split('\n')
    .map((line) => {
      const [, number, what, who] =
        /^\| ((?:wire|smtp-server) \d+) \| (.+?) \| (.+?) \|(?: .*\|)?$/.exec(line) ?? [];
      if (number === undefined) return line;
      return `| ${number} | ${what} | ${who} | ${[...(files.get(number) ?? [])].sort().join('<br>')} |`;
    })
    .join('\n');
}

/** Titles are string literals of tests and the heads of transcripts; comments do not count. */
function filesByNumber(): ReadonlyMap<string, ReadonlySet<string>> {
  const files = new Map<string, Set<string>>();
  for (const entry of readdirSync(join(root, 'test'), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !/\.(?:test\.ts|txt)$/.test(entry.name)) continue;
    const path = join(entry.parentPath, entry.name);
    const name = path.slice(join(root, 'test/').length).replace(/\.test\.ts$/, '');
    for (const title of titles(readFileSync(path, 'utf8'), entry.name.endsWith('.txt'))) {
      for (const [, family = '', list = ''] of title.matchAll(
        /\b(wire|smtp-server) (\d+(?:, \d+)*)(?!\d|\.\d)/gi,
      )) {
        for (const number of list.split(', ')) {
          const key = `${family.toLowerCase()} ${number}`;
          files.set(key, (files.get(key) ?? new Set()).add(name));
        }
      }
    }
  }
  return files;
}

function titles(text: string, isTranscript: boolean): readonly string[] {
  const isTitle = isTranscript ? /^== / : /^\s*(?!\/\/|\*|\/\*).*['"`]/;
  return text.split('\n').filter((line) => isTitle.test(line));
}

if (process.argv[1] === import.meta.filename) writeFileSync(page, pageWithTests());
