import { chmod, mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { letOthersPass, makeScratchFolder } from '../../src/demo/scratch-folder.ts';

describe('scratch folder', () => {
  it('is closed at first, lets others pass without looking when told, and goes away with all that is in it', async () => {
    const scratch = await makeScratchFolder();
    expect((await stat(scratch.path)).mode & 0o777).toBe(0o700);
    await letOthersPass(scratch.path);
    expect((await stat(scratch.path)).mode & 0o777).toBe(0o711);
    await mkdir(join(scratch.path, 'some/folder'), { recursive: true });
    await scratch.remove();
    await expect(stat(scratch.path)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('names the folder above that keeps others out', async () => {
    const scratch = await makeScratchFolder();
    const closed = join(scratch.path, 'closed');
    await mkdir(join(closed, 'inner'), { recursive: true });
    await chmod(scratch.path, 0o755);
    await chmod(closed, 0o700);
    await expect(letOthersPass(join(closed, 'inner'))).rejects.toThrow(`${closed} is closed to the users`);
    await scratch.remove();
  });
});
