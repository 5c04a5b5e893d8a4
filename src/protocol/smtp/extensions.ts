import type { Reply } from './reply.ts';

/** Keywords of an EHLO list in capitals, with their parameters. */
export type Extensions = ReadonlyMap<string, string>;

/** Reads the reply to EHLO (RFC 5321 4.1.1.1). The old form `AUTH=PLAIN` counts as `AUTH PLAIN`. */
export function readExtensions(reply: Reply): Extensions {
  const extensions = new Map<string, string>();
  for (const line of reply.lines.slice(1)) {
    const match = /^([A-Z0-9][A-Z0-9-]*)(?:[ =](.*))?$/.exec(line.trim().toUpperCase());
    if (match?.[1] === undefined) continue;
    const known = extensions.get(match[1]);
    const value = match[2] ?? '';
    extensions.set(match[1], known === undefined ? value : `${known} ${value}`);
  }
  return extensions;
}

/** What is relayed as the backend has it. CHUNKING and all others are not. */
const relayed = ['8BITMIME', 'DSN', 'SMTPUTF8'] as const;

/** What a client may be promised of the backend's (wire 73, 88). */
export interface Offer {
  readonly keywords: ReadonlySet<(typeof relayed)[number]>;
  /** Largest message in bytes, 0 for no limit of its own (RFC 1870 4); null where SIZE is not offered. */
  readonly sizeBytes: number | null;
}

/** As long as nothing is known: what every server has. */
export const emptyOffer: Offer = { keywords: new Set(), sizeBytes: null };

export function offerOf(extensions: Extensions): Offer {
  const size = extensions.get('SIZE');
  return {
    keywords: new Set(relayed.filter((keyword) => extensions.has(keyword))),
    sizeBytes: size === undefined ? null : /^\d{1,15}$/.test(size) ? Number(size) : 0,
  };
}

/** What both keep. */
export function narrowOffer(one: Offer, other: Offer): Offer {
  return {
    keywords: new Set([...one.keywords].filter((keyword) => other.keywords.has(keyword))),
    sizeBytes:
      one.sizeBytes === null || other.sizeBytes === null ? null : lesser(one.sizeBytes, other.sizeBytes),
  };
}

function lesser(one: number, other: number): number {
  return one === 0 || other === 0 ? one + other : Math.min(one, other);
}

/** The list behind EHLO without AUTH and STARTTLS: ours, and what is relayed (wire 73). `messageBytes` is our own limit. */
export function announced(offer: Offer, messageBytes: number): readonly string[] {
  const size = offer.sizeBytes === null ? [] : [`SIZE ${lesser(offer.sizeBytes, messageBytes)}`];
  return ['PIPELINING', 'ENHANCEDSTATUSCODES', ...size, ...offer.keywords];
}
