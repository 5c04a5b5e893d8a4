import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeThrowAwayCertificates, type ThrowAwayCertificates } from './certificates.ts';
import { type Dovecot, type DovecotOptions, startDovecot } from './dovecot.ts';
import { type Postfix, startPostfix } from './postfix.ts';

/** A mail site of its own as a gateway needs one behind it: Dovecot, Postfix, certificates, and a master user. */
export interface MailSite {
  readonly folder: string;
  readonly certificates: ThrowAwayCertificates;
  readonly master: { readonly user: string; readonly passwordFile: string };
  readonly imaps: number;
  readonly pop3s: number;
  readonly submission: number;
  /** Ends both servers; {@link MailSite.resume} brings them back on the same ports with the same mail. */
  stop(): Promise<void>;
  resume(): Promise<void>;
}

/** Starts both servers in an existing folder. `users` holds main passwords by address. */
export async function startMailSite(
  folder: string,
  users: Readonly<Record<string, string>>,
): Promise<MailSite> {
  const certificates = await makeThrowAwayCertificates(folder);
  const certificate = { cert: certificates.certFile, key: certificates.keyFile };
  const master = { user: 'gateway', password: randomBytes(18).toString('base64url') };
  const passwordFile = join(folder, 'master-password');
  await writeFile(passwordFile, `${master.password}\n`, { mode: 0o600 });

  const start = async (ports?: {
    readonly dovecot: DovecotOptions['ports'];
    readonly postfix: { readonly smtps: number; readonly submission: number };
  }): Promise<{ dovecot: Dovecot; postfix: Postfix }> => {
    const dovecot = await startDovecot({
      folder,
      users,
      master,
      certificate,
      ...(ports?.dovecot === undefined ? {} : { ports: ports.dovecot }),
    });
    try {
      const postfix = await startPostfix({
        folder,
        users: Object.keys(users),
        dovecot,
        certificate,
        ...(ports === undefined ? {} : { ports: ports.postfix }),
      });
      return { dovecot, postfix };
    } catch (error) {
      await dovecot.stop();
      throw error;
    }
  };

  let servers = await start();
  const ports = {
    dovecot: {
      imaps: servers.dovecot.imapsPort,
      imap: servers.dovecot.imapPort,
      pop3s: servers.dovecot.pop3sPort,
      pop3: servers.dovecot.pop3Port,
    },
    postfix: { smtps: servers.postfix.smtpsPort, submission: servers.postfix.submissionPort },
  };
  return {
    folder,
    certificates,
    master: { user: master.user, passwordFile },
    imaps: ports.dovecot.imaps,
    pop3s: ports.dovecot.pop3s,
    submission: ports.postfix.submission,
    stop: async () => {
      await Promise.all([servers.postfix.stop(), servers.dovecot.stop()]);
    },
    resume: async () => {
      servers = await start(ports);
    },
  };
}
