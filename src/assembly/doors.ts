import type { ListenSettings } from '../config/listen-schema.ts';
import type { LoadedConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import type { Secrets } from '../config/secrets.ts';
import { listenerTls } from '../config/server-tls.ts';
import type { Redis } from '../credentials/redis.ts';
import { SendCounters } from '../credentials/send-counters.ts';
import type { Logger } from '../observability/logger.ts';
import type { Door, DoorParts } from '../proxy/door/door.ts';
import { createImapDoor } from '../proxy/door/imap.ts';
import { createPop3Door } from '../proxy/door/pop3.ts';
import { createSmtpDoor } from '../proxy/door/smtp.ts';
import { type Listener, listen } from '../proxy/listener.ts';
import { loadSenderAliases } from '../proxy/smtp/sender-aliases.ts';
import { createSubmissionPolicies } from '../proxy/smtp/submission-policies.ts';
import { SubmissionSlots } from '../proxy/smtp/submission-slots.ts';
import type { OwnEndpoints } from '../upstream/own-endpoints.ts';
import type { OpenDoor } from './canary-login.ts';
import type { Closers } from './closers.ts';

/** The mail ports, open. */
export interface Doors {
  /** Bound ports by protocol, in the order of the configuration. */
  readonly ports: Readonly<Record<ListenSettings['door'], readonly number[]>>;
  /** Those that a client of this machine can try: none that expects a PROXY header. */
  open(): readonly OpenDoor[];
  /** Takes new certificates and sender aliases into use. */
  reload(loaded: LoadedConfig & { kind: 'loaded' }): Promise<void>;
  /** Accepts nobody any more; sessions go on. */
  drain(): void;
  /** Ends what is left. */
  end(): void;
}

export async function openDoors(
  given: {
    readonly config: Config;
    readonly secrets: Secrets;
    readonly logger: Logger;
    readonly own: OwnEndpoints;
    readonly redis: Redis | null;
    readonly parts: DoorParts;
  },
  closers: Closers,
): Promise<Doors> {
  const { config, secrets, logger, own, redis, parts } = given;
  let senders = await loadSenderAliases(config.domains);
  for (const problem of senders.problems) logger.warn(problem);
  const policies = createSubmissionPolicies({
    domains: config.domains,
    aliases: () => senders.aliases,
    counters: new SendCounters({ redis, now: parts.now, monotonic: () => performance.now(), logger }),
    slots: new SubmissionSlots({ limit: config.smtp.concurrentSubmissions }),
  });
  const doors: Readonly<Record<ListenSettings['door'], Door>> = {
    imap: createImapDoor(parts),
    pop3: createPop3Door(parts),
    smtp: createSmtpDoor(parts, { policies }),
  };
  const endAll = () => {
    for (const door of Object.values(doors)) door.close();
  };
  // Behind the ports, which let people in before the last part has started.
  closers.add(endAll);
  const ports: Record<ListenSettings['door'], number[]> = { imap: [], pop3: [], smtp: [] };
  const listeners: Listener[] = [];
  const shown = [...secrets.listenCertificates];
  for (const [index, settings] of config.listen.entries()) {
    const { door: protocol, host, port } = settings;
    const listener = await listen({
      protocol,
      host,
      port,
      mode: settings.tls,
      proxyProtocolFrom: settings.proxyProtocolFrom,
      tls: listenerTls(config, settings, secrets.listenCertificates[index] ?? []),
      door: doors[protocol],
      connectionsPerNetwork: config.limits.connectionsPerNetwork,
      connections: config.limits.connections,
      handshakesPerSecond: config.limits.handshakesPerSecond,
      handshakeBurst: config.limits.handshakeBurst,
      unfinishedHandshakesPerNetwork: config.limits.unfinishedHandshakesPerNetwork,
      logger,
    });
    closers.add(listener.close);
    listeners.push(listener);
    ports[protocol].push(listener.port);
    own.add(host, listener.port);
    logger.info({ door: protocol, host, port: listener.port }, 'door open');
  }

  return {
    ports,
    open: () =>
      config.listen.flatMap((settings, index) =>
        settings.proxyProtocolFrom.length > 0
          ? []
          : [
              {
                ...settings,
                port: listeners[index]?.port ?? settings.port,
                certificates: shown[index] ?? [],
              },
            ],
      ),
    async reload(loaded) {
      const found = await loadSenderAliases(loaded.config.domains);
      // Half a list would refuse people who could send a minute ago.
      if (found.problems.length === 0) senders = found;
      for (const problem of found.problems) logger.warn(problem);
      for (const [index, settings] of config.listen.entries()) {
        const { door, host, port } = settings;
        const same = loaded.config.listen.findIndex(
          (other) => other.door === door && other.host === host && other.port === port,
        );
        const certificates = loaded.secrets.listenCertificates[same];
        if (certificates === undefined) {
          logger.warn({ door, host, port }, 'not in the configuration any more; open until the restart');
          continue;
        }
        listeners[index]?.useCertificates(listenerTls(loaded.config, settings, certificates));
        shown[index] = certificates;
      }
    },
    drain() {
      for (const listener of listeners) listener.close();
      for (const door of Object.values(doors)) door.drain();
    },
    end() {
      // Whoever logged in while the other parts close would have a session that no revocation reaches.
      for (const listener of listeners) listener.close();
      endAll();
    },
  };
}
