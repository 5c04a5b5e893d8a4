import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Files of `user password` lines for the load generator. */
export interface Credentials {
  /** Those of everyday logins. */
  readonly hot: string;
  /** Those that are verified the long way, once after each restart where a target has a cache. */
  readonly cold: string;
  readonly coldCount: number;
  /** Right users, a wrong password. */
  readonly wrong: string;
}

export const domain = 'bench.example';

export const hotCount = 100;
/** So few that the gateway's throttle, at 60 different wrong pairs of user and password per network, never refuses. */
const wrongCount = 50;

export function userName(index: number): string {
  return `u${String(index + 1).padStart(5, '0')}`;
}

/** `passwords` are those of users 0, 1, … */
export async function writeCredentials(
  folder: string,
  passwords: readonly string[],
  wrongPassword: string,
): Promise<Credentials> {
  const lines = passwords.map((password, index) => `${userName(index)} ${password}\n`);
  const wrong = lines.slice(0, wrongCount).map((_, index) => `${userName(index)} ${wrongPassword}\n`);
  const cold = lines.slice(hotCount);
  const write = async (name: string, content: readonly string[]): Promise<string> => {
    const file = join(folder, name);
    await writeFile(file, content.join(''), { mode: 0o600 });
    return file;
  };
  return {
    hot: await write('hot.credentials', lines.slice(0, hotCount)),
    cold: await write('cold.credentials', cold),
    coldCount: cold.length,
    wrong: await write('wrong.credentials', wrong),
  };
}
