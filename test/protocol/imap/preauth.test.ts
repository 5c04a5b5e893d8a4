import { join } from 'node:path';
import { replayAll } from '../replay-all.ts';
import { loadTranscripts, type Turn } from '../transcript.ts';
import { greetedSubject, PreauthSubject, preauthDialect } from './preauth-subject.ts';

replayAll(
  'IMAP before login',
  loadTranscripts(join(import.meta.dirname, 'transcripts'), preauthDialect),
  ({ turns }) => {
    const greeting = turns.map(({ input }) => input).find(isConnected);
    return greeting === undefined
      ? greetedSubject()
      : new PreauthSubject(greeting.detail === 'in clear' ? 'available' : 'established');
  },
);

function isConnected(input: Turn['input']): input is { readonly event: string; readonly detail: string } {
  return input !== null && !Buffer.isBuffer(input) && input.event === 'connected';
}
