import { useEngine } from '../bed.ts';
import '../verifier.test.ts';

// The same tests, on the other engine.
useEngine('PostgreSQL');
