import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

export type Metrics = ReturnType<typeof createMetrics>;

/** Every metric of the program. No label carries an account, address or network (S-93). */
export function createMetrics() {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  return {
    registry,
    logins: new Counter({
      name: 'sallyport_logins_total',
      help: 'Logins by how they ended',
      labelNames: ['protocol', 'outcome'],
      registers,
    }),
    loginSeconds: new Histogram({
      name: 'sallyport_login_seconds',
      help: 'Time from credentials to the reply',
      labelNames: ['protocol'],
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
      registers,
    }),
    sessions: new Gauge({
      name: 'sallyport_sessions',
      help: 'Sessions logged in now',
      labelNames: ['protocol'],
      registers,
    }),
    verifications: new Counter({
      name: 'sallyport_verifications_total',
      help: 'App passwords proven, by what proved them',
      labelNames: ['source'],
      registers,
    }),
    cacheRejected: new Counter({
      name: 'sallyport_cache_rejected_total',
      help: 'Cache records refused: forged, altered, void or out of date',
      labelNames: ['reason'],
      registers,
    }),
    bytes: new Counter({
      name: 'sallyport_bytes_total',
      help: 'Bytes passed after login; up is client to backend',
      labelNames: ['protocol', 'direction'],
      registers,
    }),
    upstreamErrors: new Counter({
      name: 'sallyport_upstream_errors_total',
      help: 'Failures of a backend',
      labelNames: ['backend', 'kind'],
      registers,
    }),
    backendAvailable: new Gauge({
      name: 'sallyport_backend_available',
      help: '0 while logins are answered without asking the backend, because it failed them all',
      labelNames: ['backend', 'leg'],
      registers,
    }),
    integrityAlarms: new Counter({
      name: 'sallyport_integrity_alarms_total',
      help: 'Rows refused because their MAC, seal or parameters are not ours',
      labelNames: ['table'],
      registers,
    }),
    throttleShared: new Counter({
      name: 'sallyport_throttle_events_total',
      help: 'What nodes tell each other of wrong and right logins: sent, failed, dropped in a flood, rejected as forged',
      labelNames: ['outcome'],
      registers,
    }),
    loginEventsLost: new Counter({
      name: 'sallyport_login_events_lost_total',
      help: 'Logins and refusals that the login log could not take',
      registers,
    }),
    canaryFailures: new Counter({
      name: 'sallyport_canary_failures_total',
      help: 'Doors that let in what they must refuse, or do not let in the canary account',
      labelNames: ['door', 'check'],
      registers,
    }),
    notices: new Counter({
      name: 'sallyport_notices_total',
      help: 'Notices to people by channel and how each attempt ended: sent, failed, or dropped after the last',
      labelNames: ['channel', 'outcome'],
      registers,
    }),
    noticesWaiting: new Gauge({
      name: 'sallyport_notices_waiting',
      help: 'Notices that are due and not sent yet, of all nodes',
      registers,
    }),
    revocationStaleness: new Gauge({
      name: 'sallyport_revocation_staleness_seconds',
      help: 'Age of what this process knows of revocations',
      registers,
    }),
  };
}
