import { type CertificateFiles, describe } from './certificate.ts';

/** A certificate of each key type, the best of which a client and the server agree on (wire 124). */
export type CertificateGroup = readonly CertificateFiles[];

/** Which certificates answer for which server name. Made once for a listener; a look-up allocates nothing that stays. */
export interface CertificateChoice<Group> {
  /** Without a server name and for unknown ones (wire 120). */
  readonly standard: Group;
  /** By DNS name in lower case, `*.example.com` among them. */
  readonly byName: ReadonlyMap<string, Group>;
}

/** The first certificate is the standard one, together with those of other key types that carry all its names. */
export function chooseCertificates(
  certificates: readonly CertificateFiles[],
): CertificateChoice<CertificateGroup> {
  const known = certificates.map((files) => ({ files, ...describe(files.cert) }));
  const [first] = known;
  if (first === undefined) throw new Error('no certificate was loaded');
  /** One object for the same certificates, so that a context is made once. */
  const groups = new Map<string, CertificateGroup>();
  const groupOf = (members: typeof known): CertificateGroup => {
    const key = members.map((member) => known.indexOf(member)).join();
    const group = groups.get(key) ?? members.map((member) => member.files);
    groups.set(key, group);
    return group;
  };
  const covering = (names: readonly string[]) =>
    firstOfEachKeyType(known.filter((other) => names.every((name) => other.names.includes(name))));

  const byName = new Map<string, CertificateGroup>();
  for (const name of new Set(known.flatMap(({ names }) => names)))
    byName.set(name, groupOf(covering([name])));
  const standard = groupOf(first.names.length === 0 ? [first] : covering(first.names));
  return { standard, byName };
}

/** The group for a name as a client sent it, null where no certificate carries it. Never throws (S-07). */
export function findGroup<Group>(choice: CertificateChoice<Group>, serverName: string): Group | null {
  const name = serverName.toLowerCase();
  const exact = choice.byName.get(name);
  if (exact !== undefined) return exact;
  const dot = name.indexOf('.');
  return dot === -1 ? null : (choice.byName.get(`*${name.slice(dot)}`) ?? null);
}

function firstOfEachKeyType<Member extends { readonly keyType: string }>(
  members: readonly Member[],
): Member[] {
  return members.filter(
    (member, index) => members.findIndex((earlier) => earlier.keyType === member.keyType) === index,
  );
}
