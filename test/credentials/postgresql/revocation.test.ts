import { useEngine } from '../bed.ts';
import '../revocation.test.ts';

// The same tests, on the other engine.
useEngine('PostgreSQL');
