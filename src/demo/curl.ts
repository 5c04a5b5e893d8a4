import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { findProgram } from './program.ts';

/** How a curl ended. `dialogue` is what both sides said, so it holds the login: never print it. */
export interface CurlResult {
  readonly code: number;
  readonly output: string;
  readonly dialogue: string;
}

/** Runs curl with the options on its standard input: as arguments everybody on the machine could read the password. */
export async function curl(options: Readonly<Record<string, string>>): Promise<CurlResult> {
  const child = spawn(findProgram('curl'), ['--disable', '--config', '-'], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const output: Buffer[] = [];
  const dialogue: Buffer[] = [];
  child.stdout.on('data', (bytes: Buffer) => output.push(bytes));
  child.stderr.on('data', (bytes: Buffer) => dialogue.push(bytes));
  const settings = { verbose: '', silent: '', 'max-time': '20', ...options };
  child.stdin.end(
    Object.entries(settings)
      .map(([name, value]) =>
        value === '' ? `${name}\n` : `${name} = "${value.replace(/[\\"]/g, '\\$&')}"\n`,
      )
      .join(''),
  );
  const [code] = (await once(child, 'close')) as [number];
  return {
    code,
    output: Buffer.concat(output).toString('utf8'),
    dialogue: Buffer.concat(dialogue).toString('latin1'),
  };
}
