/** Every form in which a secret may have slipped into a file: searching for all of them finds it inside a SASL line too. */
export function disguises(secret: Buffer): readonly Buffer[] {
  const plain = secret.toString('latin1');
  const texts = [
    plain,
    plain.toUpperCase(),
    plain.toLowerCase(),
    encodeURIComponent(plain),
    encodeURIComponent(plain).replaceAll('%20', '+'),
    plain.replaceAll(' ', ''),
    plain.replaceAll(' ', '-'),
    secret.toString('hex'),
    secret.toString('hex').toUpperCase(),
    ...base64Cores(secret, 'base64'),
    ...base64Cores(secret, 'base64url'),
  ];
  return [...new Set(texts)].map((text) => Buffer.from(text, 'latin1'));
}

/** The characters that base64 of any longer text around the secret has, for its three possible alignments. */
function base64Cores(secret: Buffer, encoding: 'base64' | 'base64url'): readonly string[] {
  return [0, 1, 2].map((before) => {
    const encoded = Buffer.concat([Buffer.alloc(before), secret]).toString(encoding);
    const first = Math.ceil((before * 8) / 6);
    const end = Math.floor(((before + secret.length) * 8) / 6);
    return encoded.slice(first, end);
  });
}
