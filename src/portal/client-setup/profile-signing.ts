import { createHash, createPrivateKey, type KeyObject, sign, X509Certificate } from 'node:crypto';
import { promisify } from 'node:util';
import { type BaseBlock, fromBER, Null, ObjectIdentifier, OctetString, Set as SetOf, UTCTime } from 'asn1js';
import {
  AlgorithmIdentifier,
  Attribute,
  Certificate,
  ContentInfo,
  EncapsulatedContentInfo,
  IssuerAndSerialNumber,
  SignedAndUnsignedAttributes,
  SignedData,
  SignerInfo,
} from 'pkijs';
import type { CertificateFiles } from '../../config/certificate.ts';

// RFC 5652 and RFC 8017, RFC 5758
const ids = {
  data: '1.2.840.113549.1.7.1',
  signedData: '1.2.840.113549.1.7.2',
  contentType: '1.2.840.113549.1.9.3',
  messageDigest: '1.2.840.113549.1.9.4',
  signingTime: '1.2.840.113549.1.9.5',
  sha256: '2.16.840.1.101.3.4.2.1',
} as const;
const signatureIds: Readonly<Record<string, string>> = {
  rsa: '1.2.840.113549.1.1.11',
  ec: '1.2.840.10045.4.3.2',
};

const signAsync = promisify(sign);

interface Signer {
  readonly key: KeyObject;
  readonly algorithm: string;
  /** The signer's own first. Without the intermediates a phone says "Not Verified". */
  readonly chain: readonly Certificate[];
}

/**
 * The profile as CMS SignedData, DER, the content inside, with every certificate of the file. Throws for files that
 * `portal.profile_signing` refuses.
 */
export async function signProfile(profile: string, files: CertificateFiles, now: number): Promise<Buffer> {
  const { key, algorithm, chain } = signerOf(files);
  const content = Buffer.from(profile, 'utf8');
  const attributes = derSorted([
    new Attribute({ type: ids.contentType, values: [new ObjectIdentifier({ value: ids.data })] }),
    new Attribute({ type: ids.signingTime, values: [new UTCTime({ valueDate: new Date(now) })] }),
    new Attribute({
      type: ids.messageDigest,
      values: [new OctetString({ valueHex: exact(createHash('sha256').update(content).digest()) })],
    }),
  ]);
  // Signed as a SET OF, though it is sent under another tag (RFC 5652 5.4).
  const signed = new SetOf({ value: attributes.map((attribute) => attribute.toSchema()) }).toBER();
  const signature = await signAsync('sha256', Buffer.from(signed), key);
  const digest = () => new AlgorithmIdentifier({ algorithmId: ids.sha256, algorithmParams: new Null() });
  const [own] = chain;
  if (own === undefined) throw new Error('a certificate file without a certificate');
  const encapsulated = new EncapsulatedContentInfo({ eContentType: ids.data });
  // Given to the constructor it would be cut into pieces, which is BER and not DER.
  encapsulated.eContent = new OctetString({ valueHex: exact(content) });
  const signedData = new SignedData({
    version: 1,
    digestAlgorithms: [digest()],
    encapContentInfo: encapsulated,
    certificates: derSorted(chain),
    signerInfos: [
      new SignerInfo({
        version: 1,
        sid: new IssuerAndSerialNumber({ issuer: own.issuer, serialNumber: own.serialNumber }),
        digestAlgorithm: digest(),
        signedAttrs: new SignedAndUnsignedAttributes({ type: 0, attributes }),
        signatureAlgorithm: new AlgorithmIdentifier({
          algorithmId: algorithm,
          ...(algorithm === signatureIds.rsa ? { algorithmParams: new Null() } : {}),
        }),
        signature: new OctetString({ valueHex: exact(signature) }),
      }),
    ],
  });
  const message = new ContentInfo({ contentType: ids.signedData, content: signedData.toSchema(true) });
  return Buffer.from(message.toSchema().toBER());
}

function signerOf({ cert, key: keyPem }: CertificateFiles): Signer {
  const key = createPrivateKey(keyPem);
  const algorithm = signatureIds[key.asymmetricKeyType ?? ''];
  if (algorithm === undefined) throw new Error('a profile is signed with an RSA or an ECDSA key');
  const blocks = cert.toString('latin1').match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g);
  const chain = (blocks ?? []).map((pem) => {
    const { result } = fromBER(exact(new X509Certificate(pem).raw));
    return new Certificate({ schema: result });
  });
  return { key, algorithm, chain };
}

/** DER sorts a SET OF by the encodings (X.690 11.6). */
function derSorted<T extends { toSchema(): BaseBlock }>(members: readonly T[]): T[] {
  return members
    .map((member) => ({ member, encoded: Buffer.from(member.toSchema().toBER()) }))
    .sort((one, other) => Buffer.compare(one.encoded, other.encoded))
    .map(({ member }) => member);
}

/** A buffer may be a window on a larger one. */
function exact(bytes: Buffer): ArrayBuffer {
  const copy = new ArrayBuffer(bytes.length);
  new Uint8Array(copy).set(bytes);
  return copy;
}
