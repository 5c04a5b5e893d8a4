import { z } from 'zod';

export const port = z.int().min(0).max(65_535);
export const host = z.string().min(1).max(255);
export const path = z.string().min(1);

/** S-21: a row asking for 1 GiB holds a thread for seconds at every login, so rows and settings end here. */
export const argon2Maxima = { memoryKib: 65_536, passes: 10, lanes: 4 } as const;

/** S-44: a name with Unicode dots or a NUL is compared differently by different TLS stacks. */
export const backendHost = z
  .string()
  .regex(/^[A-Za-z0-9](?:[A-Za-z0-9.:-]{0,253}[A-Za-z0-9])?$/, 'must be an ASCII host name or address');

export const domainName = z
  .string()
  .toLowerCase()
  .regex(/^(?!-)[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})*$/, 'must be an ASCII domain name (use the xn-- form)');

/** Canonical address of a mailbox, in ASCII. */
export const mailbox = z
  .string()
  .toLowerCase()
  .regex(/^[^\s@"]{1,64}@[a-z0-9.-]{1,253}$/, 'must be an address such as anna@example.com');

/** IANA name of a time zone, `Europe/Riga`. */
export const timeZone = z.string().refine((name) => {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}, 'must be the name of a time zone, such as Europe/Riga');
