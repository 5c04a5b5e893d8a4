import { useEngine } from '../bed.ts';
import '../key-rotation.test.ts';

// The same tests, on the other engine.
useEngine('PostgreSQL');
