import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { giveOrder } from '../../src/control/client.ts';
import { journaledOrders } from '../../src/control/journaled-orders.ts';
import { controlVersion } from '../../src/control/message.ts';
import { type ControlServer, serveControl } from '../../src/control/server.ts';
import { sessionOrders } from '../../src/control/session-orders.ts';
import { controlSocketPath } from '../../src/control/socket-file.ts';
import type { JournalEntry } from '../../src/credentials/journal.ts';
import { createLogger } from '../../src/observability/logger.ts';

let stateDir: string;
let server: ControlServer;
let entries: JournalEntry[];
let reasons: string[];

beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'sallyport-control-'));
  entries = [];
  reasons = [];
  const orders = sessionOrders({
    list: async () => ({ sessions: [], omitted: 0, silent: [], isAlone: false }),
    end: async (_, reason) => {
      reasons.push(reason);
      return { ended: 1, silent: [], isAlone: false };
    },
  });
  const commands = journaledOrders({ ...orders, 'throttle-clear': () => ({ cleared: 2 }) }, async (entry) => {
    entries.push(entry);
  });
  server = await serveControl({ stateDir, commands, logger: createLogger('silent') });
});
afterEach(async () => {
  await server.close();
  await rm(stateDir, { recursive: true });
});

const everything = { by: 'all' };
const give = async (name: string, reason?: string) =>
  await giveOrder(stateDir, { name, operator: 'cli:anna', reason, details: everything });

describe('S-94: why an order was given', () => {
  it('stands in the journal, and a session hears of it', async () => {
    expect(await give('session-end', 'TICKET-9\n\u001b[0m')).toMatchObject({ kind: 'done' });
    expect(await give('throttle-clear', 'TICKET-10')).toMatchObject({ kind: 'done' });
    expect(entries).toMatchObject([
      { event: { action: 'sessions.ended', count: 1 }, reason: 'TICKET-9\n\u001b[0m' },
      { event: { action: 'throttles.cleared' }, reason: 'TICKET-10' },
    ]);
    expect(reasons).toEqual([expect.stringMatching(/^ended by cli:anna: TICKET-9[ -~]*$/)]);
  });

  it('may be missing', async () => {
    await give('session-end');
    expect(entries[0]).not.toHaveProperty('reason');
    expect(reasons).toEqual(['ended by cli:anna']);
  });

  it('is bounded by both sides', async () => {
    await give('session-end', 'x'.repeat(10_000));
    expect(entries[0]?.reason).toBe('x'.repeat(500));
    expect(reasons[0]).toMatch(/^ended by cli:anna: x{100,180}$/);
    const socket = connect({ path: controlSocketPath(stateDir), allowHalfOpen: true });
    const order = { version: controlVersion, name: 'session-end', operator: 'cli:anna', details: everything };
    socket.end(`${JSON.stringify({ ...order, reason: 'x'.repeat(501) })}\n`);
    const answer = await socket.setEncoding('utf8').reduce((text, chunk) => text + chunk, '');
    expect(JSON.parse(answer)).toMatchObject({ kind: 'refused' });
    expect(entries).toHaveLength(1);
  });
});
