import { afterAll, beforeAll, describe, test } from '@jest/globals';
import { SocketBed } from './socket-subject.ts';
import {
  byteByByte,
  cutAt,
  type Delivery,
  inputLength,
  replay,
  type Subject,
  type Transcript,
  whole,
} from './transcript.ts';

/** Runs each transcript whole, byte by byte and cut at every offset: on the machine, and with a real socket in between. */
export function replayAll(
  name: string,
  transcripts: readonly Transcript[],
  subjectOf: (transcript: Transcript) => Subject,
): void {
  describe(`${name}, on the machine`, () => {
    for (const transcript of transcripts) {
      test(transcript.title, async () => {
        for (const delivery of deliveries(transcript)) {
          await replay(transcript, subjectOf(transcript), delivery);
        }
      });
    }
  });

  describe(`${name}, over a socket`, () => {
    let bed: SocketBed;
    beforeAll(async () => {
      bed = await SocketBed.open();
    });
    afterAll(() => bed.close());

    for (const transcript of transcripts) {
      test(transcript.title, async () => {
        for (const delivery of deliveries(transcript)) {
          const subject = await bed.connect(subjectOf(transcript));
          try {
            await replay(transcript, subject, delivery);
          } finally {
            subject.close();
          }
        }
      });
    }
  });
}

function* deliveries(transcript: Transcript): Iterable<Delivery> {
  yield whole;
  yield byteByByte;
  for (let place = 1; place < inputLength(transcript); place++) yield cutAt(place);
}
