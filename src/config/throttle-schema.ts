import { z } from 'zod';
import { duration } from './duration.ts';

const positive = z.int().min(1);

/** Wrong logins and sign-ins (requirements 4.3). At the /24 or /48 around a network every number counts eightfold. */
export const throttle = z
  .strictObject({
    /** Different wrong app passwords of an account and network in `window`: from there on replies are held back. */
    delay_from: positive.max(200).default(10),
    /** The first is held back for 1 s, each further one twice as long, up to this. */
    max_delay: duration('1s', '1m').prefault('15s'),
    refuse_from: positive.max(200).default(20),
    /** Different wrong pairs of account and app password of a network in `window`. */
    network_refuse_from: positive.max(1_000).default(60),
    window: duration('1m', '1d').prefault('1h'),
    refuse_for: duration('1m', '1d').prefault('15m'),
    /** How long a success spares its account at its network. */
    spare_after_success: duration('1m', '30d').prefault('24h'),
    /** Of each table; what is counted longest ago goes when it is full. */
    entries: z.int().min(1_000).max(200_000).default(16_384),
    portal: z
      .strictObject({
        /** Wrong main passwords of an account in 15 minutes, then the next waits for 30 s, doubling to an hour. */
        account: positive.max(1_000).default(5),
        /** The same of a network in an hour. */
        network: positive.max(10_000).default(20),
        /** Wrong main passwords of an account that reach the backend in an hour (S-73). */
        backend: positive.max(1_000).default(10),
        requests_per_minute: z.int().min(10).max(100_000).default(120),
      })
      .prefault({}),
  })
  .prefault({})
  .refine(({ delay_from, refuse_from }) => delay_from <= refuse_from, {
    path: ['delay_from'],
    message: 'must not be above refuse_from',
  })
  .transform(({ portal, ...mail }) => ({
    mail: {
      delayFrom: mail.delay_from,
      maxDelayMs: mail.max_delay,
      refuseFrom: mail.refuse_from,
      networkRefuseFrom: mail.network_refuse_from,
      windowMs: mail.window,
      refuseMs: mail.refuse_for,
      exemptMs: mail.spare_after_success,
      entries: mail.entries,
    },
    signIn: { accountWrong: portal.account, networkWrong: portal.network, backendWrong: portal.backend },
    portalRequestsPerMinute: portal.requests_per_minute,
  }));
