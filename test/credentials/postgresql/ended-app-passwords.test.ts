import { useEngine } from '../bed.ts';
import '../ended-app-passwords.test.ts';

// The same tests, on the other engine.
useEngine('PostgreSQL');
