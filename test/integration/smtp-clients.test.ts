import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createTransport } from 'nodemailer';
import {
  alice,
  bob,
  type IssuedAppPassword,
  startTestGateway,
  type TestGateway,
} from '../support/gateway.ts';
import { runMailProgram } from '../support/mail-program.ts';
import { deliveredMessage } from '../support/mailbox.ts';

let bed: TestGateway;
let appPassword: IssuedAppPassword;

beforeAll(async () => {
  bed = await startTestGateway();
  appPassword = await bed.issue(alice);
});
afterAll(() => bed.stop());

const text = (subject: string): string =>
  `From: ${alice}\r\nTo: ${bob}\r\nSubject: ${subject}\r\n\r\n.a line that begins with a dot\r\nlast\r\n`;

describe('SMTP clients through the gateway', () => {
  it.each(['PLAIN', 'LOGIN'])('curl sends, with AUTH=%s', async (mechanism) => {
    const subject = `curl ${mechanism}`;
    const file = join(bed.folder, 'curl.eml');
    await writeFile(file, text(subject));
    const result = await runMailProgram('curl', ['--disable', '--config', '-'], {
      input: [
        'silent',
        'show-error',
        `cacert = "${bed.caFile}"`,
        `user = "${alice}:${appPassword.secret}"`,
        `login-options = "AUTH=${mechanism}"`,
        `url = "smtps://localhost:${bed.smtpPort}"`,
        `mail-from = "${alice}"`,
        `mail-rcpt = "${bob}"`,
        `upload-file = "${file}"`,
      ].join('\n'),
    });
    expect(result).toMatchObject({ code: 0, stderr: '' });
    await expectDelivered(subject);
  });

  it.each(['plain', 'login'])('msmtp sends, with auth %s', async (mechanism) => {
    const subject = `msmtp ${mechanism}`;
    const password = join(bed.folder, 'msmtp-password');
    await writeFile(password, appPassword.secret);
    const settings = join(bed.folder, 'msmtprc');
    await writeFile(
      settings,
      `account default
host localhost
port ${bed.smtpPort}
tls on
tls_starttls off
tls_trust_file ${bed.caFile}
auth ${mechanism}
user ${alice}
passwordeval "cat ${password}"
from ${alice}
`,
      { mode: 0o600 },
    );
    const input = text(subject).replaceAll('\r\n', '\n');
    const result = await runMailProgram('msmtp', [`--file=${settings}`, bob], { input });
    expect(result).toMatchObject({ code: 0, stderr: '' });
    await expectDelivered(subject);
  });

  it.each(['PLAIN', 'LOGIN'])('swaks sends, with %s', async (mechanism) => {
    const subject = `swaks ${mechanism}`;
    const result = await runMailProgram('swaks', [
      ...['--server', 'localhost', '--port', String(bed.smtpPort), '--tls-on-connect'],
      ...['--tls-verify', '--tls-ca-path', bed.caFile, '--auth', mechanism],
      ...['--auth-user', alice, '--auth-password', appPassword.secret],
      ...['--from', alice, '--to', bob, '--data', text(subject).trimEnd().replaceAll('\r\n', '\\n')],
    ]);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    await expectDelivered(subject);
  });

  it('wire 110: curl sends over STARTTLS', async () => {
    const file = join(bed.folder, 'curl-starttls.eml');
    await writeFile(file, text('curl STARTTLS'));
    const result = await runMailProgram('curl', ['--disable', '--config', '-'], {
      input: [
        'silent',
        'show-error',
        'ssl-reqd',
        `cacert = "${bed.caFile}"`,
        `user = "${alice}:${appPassword.secret}"`,
        `url = "smtp://localhost:${bed.smtpStartTlsPort}"`,
        `mail-from = "${alice}"`,
        `mail-rcpt = "${bob}"`,
        `upload-file = "${file}"`,
      ].join('\n'),
    });
    expect(result).toMatchObject({ code: 0, stderr: '' });
    await expectDelivered('curl STARTTLS');
  });

  it('wire 110: swaks sends over STARTTLS', async () => {
    const result = await runMailProgram('swaks', [
      ...['--server', 'localhost', '--port', String(bed.smtpStartTlsPort), '--tls'],
      ...['--tls-verify', '--tls-ca-path', bed.caFile, '--auth', 'LOGIN'],
      ...['--auth-user', alice, '--auth-password', appPassword.secret],
      ...['--from', alice, '--to', bob],
      ...['--data', text('swaks STARTTLS').trimEnd().replaceAll('\r\n', '\\n')],
    ]);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    await expectDelivered('swaks STARTTLS');
  });

  it('wire 110: smtplib of Python sends over STARTTLS, and no password without', async () => {
    const script = `
import os, smtplib, ssl
context = ssl.create_default_context(cafile=os.environ['CA'])
with smtplib.SMTP('localhost', int(os.environ['PORT'])) as smtp:
    try:
        smtp.login(os.environ['MAIL_USER'], os.environ['MAIL_PASSWORD'])
        raise SystemExit('logged in without TLS')
    except smtplib.SMTPNotSupportedError:
        pass
    smtp.starttls(context=context)
    smtp.login(os.environ['MAIL_USER'], os.environ['MAIL_PASSWORD'])
    assert smtp.sendmail('${alice}', ['${bob}'], os.environ['TEXT']) == {}
`;
    const result = await runMailProgram('python3', ['-c', script], {
      environment: {
        CA: bed.caFile,
        PORT: String(bed.smtpStartTlsPort),
        MAIL_USER: alice,
        MAIL_PASSWORD: appPassword.secret,
        TEXT: text('Python STARTTLS'),
      },
    });
    expect(result).toMatchObject({ code: 0, stderr: '' });
    await expectDelivered('Python STARTTLS');
  });

  it('smtplib of Python sends', async () => {
    const script = `
import os, smtplib, ssl
context = ssl.create_default_context(cafile=os.environ['CA'])
with smtplib.SMTP_SSL('localhost', int(os.environ['PORT']), context=context) as smtp:
    smtp.login(os.environ['MAIL_USER'], os.environ['MAIL_PASSWORD'])
    assert smtp.sendmail('${alice}', ['${bob}'], os.environ['TEXT']) == {}
`;
    const result = await runMailProgram('python3', ['-c', script], {
      environment: {
        CA: bed.caFile,
        PORT: String(bed.smtpPort),
        MAIL_USER: alice,
        MAIL_PASSWORD: appPassword.secret,
        TEXT: text('smtplib'),
      },
    });
    expect(result).toMatchObject({ code: 0, stderr: '' });
    await expectDelivered('smtplib');
  });

  it('nodemailer sends several on one connection and is told of a recipient the backend refuses', async () => {
    const transport = createTransport({
      host: 'localhost',
      port: bed.smtpPort,
      secure: true,
      tls: { ca: bed.ca },
      auth: { user: alice, pass: appPassword.secret },
      pool: true,
      maxConnections: 1,
    });
    await transport.sendMail({ envelope: { from: alice, to: bob }, raw: text('nodemailer 1') });
    const mixed = await transport.sendMail({
      envelope: { from: alice, to: [bob, 'stranger@example.com'] },
      raw: text('nodemailer 2'),
    });
    expect(mixed.accepted).toEqual([bob]);
    expect(mixed.rejectedErrors).toMatchObject([{ responseCode: 550, recipient: 'stranger@example.com' }]);
    transport.close();
    await expectDelivered('nodemailer 1');
    await expectDelivered('nodemailer 2');
  });
});

/** Byte for byte below the headers the backend added on top. */
async function expectDelivered(subject: string): Promise<void> {
  const source = (await deliveredMessage(bed, bob, subject)).toString('latin1');
  expect(source.slice(source.indexOf('\r\n\r\n'))).toBe('\r\n\r\n.a line that begins with a dot\r\nlast\r\n');
}
