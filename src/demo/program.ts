import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';
import { promisify } from 'node:util';
import { ScratchError } from './scratch-error.ts';

const executeFile = promisify(execFile);

/** Full path of a program. Looks in the system folders too, which are not on every user's PATH; takes an absolute path as it is. */
export function findProgram(name: string): string {
  if (isAbsolute(name)) return name;
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin'];
  for (const folder of folders.filter((folder) => folder !== '')) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not in this folder.
    }
  }
  throw new ScratchError(`${name} is not installed; run scripts/setup`);
}

/** Runs a program to its end and answers what it printed; throws, with what it said, when it fails. */
export async function run(name: string, args: readonly string[]): Promise<string> {
  const { stdout } = await executeFile(findProgram(name), [...args]);
  return stdout;
}
