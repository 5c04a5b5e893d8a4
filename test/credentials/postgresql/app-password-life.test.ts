import { useEngine } from '../bed.ts';
import '../app-password-life.test.ts';

// The same tests, on the other engine.
useEngine('PostgreSQL');
