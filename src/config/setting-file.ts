import { readFile } from 'node:fs/promises';
import { errorCode, errorText } from '../observability/error-text.ts';

/** The file's bytes, or null and a problem under the setting's name. */
export async function readSetting(setting: string, file: string, problems: string[]): Promise<Buffer | null> {
  try {
    return await readFile(file);
  } catch (error) {
    problems.push(`${setting}: ${file}: ${fileProblem(error)}`);
    return null;
  }
}

/** Why a file could not be read, in an operator's words. */
export function fileProblem(error: unknown): string {
  switch (errorCode(error)) {
    case 'ENOENT':
      return 'there is no such file';
    case 'EACCES':
      return 'may not be read';
    default:
      return errorText(error);
  }
}
