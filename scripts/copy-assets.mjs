// What tsc leaves behind of the portal: templates, style sheet, script, sign.
import { cpSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
for (const folder of ['views', 'assets']) {
  cpSync(join(root, 'src/portal', folder), join(root, 'dist/portal', folder), { recursive: true });
}
