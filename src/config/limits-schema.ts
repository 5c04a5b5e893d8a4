import { z } from 'zod';
import { duration } from './duration.ts';

/** requirements 4.3, but for what wrong logins cost. */
export const limits = z
  .strictObject({
    /** Before login, whatever trickles in (wire 151). */
    login_time: duration('10s', '1h').prefault('3m'),
    /** IMAP after login, without a byte either way; never under 30 minutes (RFC 2683 3.1, wire 66). */
    idle_time: duration('30m').prefault('35m'),
    connections_per_network: z.int().min(1).default(200),
    /** Of one listener, whoever they are from; more are closed unheard. */
    connections: z.int().min(10).default(10_000),
    /** TLS handshakes of a network: on average a second, and at once (S-12). */
    handshakes_per_second: z.int().min(1).default(20),
    handshake_burst: z.int().min(1).default(60),
    sessions_per_credential: z.int().min(1).default(50),
    sessions_per_account: z.int().min(1).default(100),
    message_bytes: z.int().min(1_000_000).default(52_428_800),
    recipients: z.int().min(1).max(10_000).default(200),
    /** Unfinished TLS handshakes of a network at one port; they cost CPU and need no credential (S-12). */
    unfinished_handshakes_per_network: z.int().min(1).default(50),
    /** argon2id runs once per core, the others wait, each less long than a login may take (S-21). */
    hashes_waiting_per_account: z.int().min(1).max(1_000).default(4),
    hashes_waiting_per_network: z.int().min(1).max(10_000).default(32),
    hash_wait: duration('1s', '40s').prefault('30s'),
    drain_time: duration('1s', '1h').prefault('30s'),
  })
  .prefault({})
  .transform((limits) => ({
    loginTimeMs: limits.login_time,
    idleTimeMs: limits.idle_time,
    connectionsPerNetwork: limits.connections_per_network,
    connections: limits.connections,
    handshakesPerSecond: limits.handshakes_per_second,
    handshakeBurst: limits.handshake_burst,
    sessionsPerCredential: limits.sessions_per_credential,
    sessionsPerAccount: limits.sessions_per_account,
    messageBytes: limits.message_bytes,
    recipients: limits.recipients,
    unfinishedHandshakesPerNetwork: limits.unfinished_handshakes_per_network,
    hashesWaitingPerAccount: limits.hashes_waiting_per_account,
    hashesWaitingPerNetwork: limits.hashes_waiting_per_network,
    hashWaitMs: limits.hash_wait,
    drainTimeMs: limits.drain_time,
  }));
