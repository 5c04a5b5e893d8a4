import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../src/demo/program.ts';

/** Compiles the C programs into a folder and answers their paths. */
export async function buildPrograms(
  folder: string,
): Promise<{ readonly load: string; readonly stub: string }> {
  const load = join(folder, 'load');
  const stub = join(folder, 'stub');
  await compile('generator', load, ['-lssl', '-lcrypto']);
  await compile('stub', stub, []);
  return { load, stub };
}

async function compile(sources: string, program: string, libraries: readonly string[]): Promise<void> {
  const from = join(import.meta.dirname, sources);
  const files = (await readdir(from)).filter((name) => name.endsWith('.c')).map((name) => join(from, name));
  await run('gcc', ['-O2', '-Wall', '-Wextra', '-Werror', '-o', program, ...files, ...libraries]);
}
