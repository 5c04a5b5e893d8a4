/** What a command needs of the process, so that tests run commands in their own. */
export interface CommandIo {
  readonly out: (line: string) => void;
  readonly err: (line: string) => void;
  readonly environment: NodeJS.ProcessEnv;
  /** Aborted by SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
  readonly now: () => number;
}

/** sysexits: what a command answers the shell. */
export const exitCode = { ok: 0, failed: 1, usage: 2, configuration: 78 } as const;
export type ExitCode = (typeof exitCode)[keyof typeof exitCode];

/** A command ends early with one plain message and a code; anything else thrown is a fault and shows its stack. */
export class CommandFailure extends Error {
  override readonly name = 'CommandFailure';
  readonly code: ExitCode;

  constructor(code: ExitCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** Options every command takes. */
export interface CommonOptions {
  readonly config?: string;
  readonly json?: boolean;
  /** Why, for the audit trail. */
  readonly reason?: string;
}

/** Columns as wide as their widest cell, two spaces between; the header in capitals. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [header.map((cell) => cell.toUpperCase()), ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  return all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

/** `2026-11-24 13:48 UTC` */
export function moment(at: number): string {
  return `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

/** Data for `--json`; callers give text and numbers, never bytes. */
export function json(value: unknown): string {
  return JSON.stringify(value, null, 2);
}
