import { run } from './program.ts';

// The process's side of the command line; bin/sallyport.js imports this once it knows that Node is new enough.
const stopping = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopping.abort());

process.exitCode = await run(process.argv.slice(2), {
  out: (line) => process.stdout.write(`${line}\n`),
  err: (line) => process.stderr.write(`${line}\n`),
  environment: process.env,
  signal: stopping.signal,
  now: Date.now,
});
