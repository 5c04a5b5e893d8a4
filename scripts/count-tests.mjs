// Prints `N passed, N failed, N skipped` from the JSON file jest wrote. A file of tests that could not even start counts
// as a failure, and so does a jest that wrote nothing.
import { readFileSync } from 'node:fs';

const text = readFileSync(process.argv[2], 'utf8');
const nothing = {
  numPassedTests: 0,
  numFailedTests: 1,
  numRuntimeErrorTestSuites: 0,
  numPendingTests: 0,
  numTodoTests: 0,
};
const results = text === '' ? nothing : JSON.parse(text);
const failed = results.numFailedTests + results.numRuntimeErrorTestSuites;
const skipped = results.numPendingTests + results.numTodoTests;
process.stdout.write(`${results.numPassedTests} passed, ${failed} failed, ${skipped} skipped\n`);
