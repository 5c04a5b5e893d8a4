import { run } from './program.ts';

// The process's side of the command line; bin/sallyport.js imports this once it knows that Node is new enough.
const stopping = new AbortController();
// Not `once`: a second one, as `node --watch` sends after Ctrl-C, would kill a command that is cleaning up.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stopping.abort());
// Whoever read our output has gone (`| head`): end in order, not by an exception.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => stopping.abort());

process.exitCode = await run(process.argv.slice(2), {
  out: (line) => process.stdout.write(`${line}\n`),
  err: (line) => process.stderr.write(`${line}\n`),
  environment: process.env,
  signal: stopping.signal,
  now: Date.now,
});
