import { useEngine } from '../bed.ts';
import '../high-water.test.ts';

// The same tests, on the other engine.
useEngine('PostgreSQL');
