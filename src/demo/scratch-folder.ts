import { chmod, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { ScratchError } from './scratch-error.ts';

/** A folder of one's own that {@link ScratchFolder.remove} takes away with all that is in it. */
export interface ScratchFolder {
  readonly path: string;
  remove(): Promise<void>;
}

/** Makes an empty folder under the system's folder for temporary files. */
export async function makeScratchFolder(): Promise<ScratchFolder> {
  const path = await mkdtemp(join(tmpdir(), 'sallyport-'));
  return { path, remove: () => rm(path, { recursive: true, force: true, maxRetries: 5 }) };
}

/**
 * Lets other users of the machine pass through a folder without listing it: Dovecot and Postfix started by root
 * do their work as users of their own. Throws when a folder above is closed to them.
 */
export async function letOthersPass(folder: string): Promise<void> {
  await chmod(folder, 0o711);
  for (let above = dirname(folder); above !== dirname(above); above = dirname(above)) {
    const { mode } = await stat(above);
    if ((mode & 0o001) === 0) {
      throw new ScratchError(
        `${above} is closed to the users the mail servers run as; set TMPDIR to an open folder like /tmp`,
      );
    }
  }
}
