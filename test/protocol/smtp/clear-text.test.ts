import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import {
  type ClearTextEvent,
  type ClearTextState,
  startClearText,
  stepClearText,
} from '../../../src/protocol/smtp/clear-text.ts';
import { smtpLimits } from '../../../src/protocol/smtp/limits.ts';
import { replayAll } from '../replay-all.ts';
import { type Dialect, loadTranscripts, type Observation, type Subject } from '../transcript.ts';

const dialect: Dialect = { input: 'C', output: 'S', events: ['connected', 'expired', 'draining'] };

class ClearTextSubject implements Subject {
  #seen: Observation[] = [];
  #state: ClearTextState = startClearText('gw');

  receive(bytes: Buffer): void {
    this.#step({ type: 'received', bytes });
  }

  happen(event: string): void {
    if (event === 'connected' || event === 'expired' || event === 'draining') this.#step({ type: event });
  }

  observed(): readonly Observation[] {
    const seen = this.#seen;
    this.#seen = [];
    return seen;
  }

  #step(event: ClearTextEvent): void {
    const next = stepClearText(this.#state, event);
    this.#state = next.state;
    for (const effect of next.effects) {
      this.#seen.push(effect.type === 'send' ? effect.bytes : effect.type);
    }
  }
}

replayAll(
  'clear text',
  loadTranscripts(join(import.meta.dirname, 'transcripts'), dialect),
  () => new ClearTextSubject(),
);

it('S-03: however well formed, commands have an end in clear', () => {
  const subject = new ClearTextSubject();
  for (let count = 0; count < smtpLimits.clearCommands; count++) subject.receive(Buffer.from('NOOP\r\n'));
  expect(subject.observed()).toHaveLength(smtpLimits.clearCommands);
  subject.receive(Buffer.from('STARTTLS\r\n'));
  expect(subject.observed().map(String)).toEqual(['421 4.7.0 Too many commands\r\n', 'close']);
});
