#!/usr/bin/env node
// Nothing may be imported before this test: on Node 20 the native modules crash the process instead of throwing.
const major = Number(process.versions.node.split('.')[0]);
if (major < 24) {
  process.stderr.write(`sallyport needs Node 24 or newer; this is ${process.version}. Run scripts/setup to get one.\n`);
  process.exit(78);
}
await import('../dist/cli/index.js');
