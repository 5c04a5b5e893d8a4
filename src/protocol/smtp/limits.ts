/** What bounds an SMTP client, and a backend all the way: sizes in bytes, line ends included, and counts, each with its origin. */
export const smtpLimits = {
  /** A line of the client of any kind: an AUTH response with its command. */
  inputLineBytes: 12_800,
  /** RFC 5321 4.5.3.1.4 names 512; longer lines are what ESMTP parameters need. */
  commandLineBytes: 2_048,
  /** RFC 5321 4.5.3.1.3 names 256 as the least; variable envelope senders exceed it. */
  pathBytes: 512,
  /** RFC 3461 4.4 and 4.2. */
  envidBytes: 100,
  orcptBytes: 500,
  /** Goes to the backend in XCLIENT and into logs; a name is never longer (RFC 1035 2.3.4). */
  heloBytes: 255,
  /** MAIL and RCPT under way for a client that pipelines; the next one waits. Twice what mail programs send at once. */
  pipelinedCommands: 100,
  /** RFC 5321 4.5.3.1.5 names 512; some servers explain themselves at length. */
  replyLineBytes: 4_096,
  /** The longest EHLO lists seen have some thirty lines. */
  replyLines: 100,
  /** RFC 5321 4.5.3.1.5 with room for code, enhanced code and CRLF. */
  clientTextBytes: 480,
  /** Thunderbird tries two ways with one password (wire 52, 87). The last one is answered with 421. */
  failedLogins: 4,
  /** As smtp-server counts unknown commands. The last one is answered with 421. */
  errors: 10,
  /** Before STARTTLS, and before a login, however well formed. */
  clearCommands: 30,
  /** Submission servers refuse longer AUTH and XCLIENT lines (wire 106, 129). */
  backendLineBytes: 512,
} as const;
