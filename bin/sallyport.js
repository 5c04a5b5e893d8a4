#!/usr/bin/env node
import { availableParallelism } from 'node:os';

// Nothing else may be imported before this test: on Node 20 the native modules crash the process instead of throwing.
const major = Number(process.versions.node.split('.')[0]);
if (major < 24) {
  process.stderr.write(
    `sallyport needs Node 24 or newer; this is ${process.version}. Run scripts/setup to get one.\n`,
  );
  process.exit(78);
}
// argon2 keeps as many threads busy as there are cores; name look-ups and files must not wait behind it.
process.env.UV_THREADPOOL_SIZE ??= String(availableParallelism() + 4);
// Also where the flags of scripts/sallyport are missing: no debugger on a signal, no environment in a report (S-42).
process.on('SIGUSR1', () => undefined);
process.report.excludeEnv = true;
await import('../dist/cli/index.js');
