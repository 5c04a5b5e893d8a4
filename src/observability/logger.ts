import { type DestinationStream, type Logger, pino } from 'pino';

export type { Logger };

/**
 * JSON lines. Fields are chosen one by one where they are logged: never a raw line, header, body or SASL response (S-91).
 * Redaction is the second fence, for a field that should not have been there.
 */
export function createLogger(level: string, destination?: DestinationStream): Logger {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: {
      paths: ['password', 'secret', 'token', 'cookie', 'authorization', '*.password', '*.secret', '*.token'],
      censor: '[redacted]',
    },
    serializers: { err: pino.stdSerializers.err },
  };
  // Not synchronous: a log that is slow to take its lines would stop every session. What waits is written at exit.
  return pino(options, destination ?? pino.destination({ dest: 1, sync: false }));
}

/**
 * Text a client chose, for logs and terminals: control and bidirectional characters shown as escapes, at most 128 characters (S-65).
 */
export function printable(text: string): string {
  return text
    .slice(0, 128)
    .replace(
      /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069]/g,
      (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
    );
}
