/**
 * The one writer of command lines to a backend (S-10). Throws on anything but printable ASCII: whoever builds a line
 * has checked its values, so this is a fault and never a client's doing; unchecked, one CR LF is a second command.
 */
export function commandLine(text: string): Buffer {
  if (!/^[\x20-\x7e]+$/.test(text)) throw new TypeError('an SMTP command line must be printable ASCII');
  return Buffer.from(`${text}\r\n`, 'latin1');
}

/** The same for what follows SMTPUTF8 (RFC 6531 3.4): whole characters, and none that ends a line anywhere. */
export function utf8CommandLine(text: string): Buffer {
  if (!/^[^\p{Cc}\p{Cs}\u2028\u2029]+$/u.test(text)) {
    throw new TypeError('an SMTP command line must be printable');
  }
  return Buffer.from(`${text}\r\n`, 'utf8');
}
