import { join } from 'node:path';
import { describe, test } from '@jest/globals';
import { byteByByte, cutAt, inputLength, loadTranscripts, replay, whole } from '../transcript.ts';
import { greetedSubject, PreauthSubject, preauthDialect } from './preauth-subject.ts';

describe('IMAP before login', () => {
  const transcripts = loadTranscripts(join(import.meta.dirname, 'transcripts'), preauthDialect);
  for (const transcript of transcripts) {
    const subject = () => (transcript.turns.some(isConnected) ? new PreauthSubject() : greetedSubject());

    test(transcript.title, async () => {
      await replay(transcript, subject(), whole);
      await replay(transcript, subject(), byteByByte);
      for (let place = 1; place < inputLength(transcript); place++)
        await replay(transcript, subject(), cutAt(place));
    });
  }
});

function isConnected({ input }: { readonly input: unknown }): boolean {
  return typeof input === 'object' && input !== null && 'event' in input && input.event === 'connected';
}
