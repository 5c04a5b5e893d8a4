import type { CodeName } from './guide-texts.ts';
import type { WindowValues } from './guide-windows.ts';

/** A file or a command with everything filled in but the app password. null where what it needs is not offered. */
export function codeSample(name: CodeName, { host, user, incoming, outgoing }: WindowValues): string | null {
  const login = user ?? 'name@example.com';
  switch (name) {
    case 'netrc':
      return `machine ${host}\nlogin ${login}\npassword APP-PASSWORD\n`;
    case 'curl':
      if (incoming === null) return null;
      // -n: from .netrc, so that no secret is on the command line.
      return incoming.tls === 'implicit'
        ? `curl -n --url "imaps://${host}:${incoming.port}/INBOX"\n`
        : `curl -n --ssl-reqd --url "imap://${host}:${incoming.port}/INBOX"\n`;
    case 'msmtp':
      return [
        'account default',
        `host ${host}`,
        `port ${outgoing.port}`,
        'tls on',
        `tls_starttls ${outgoing.tls === 'implicit' ? 'off' : 'on'}`,
        'auth plain',
        `user ${login}`,
        `from ${login}`,
        'passwordeval "cat ~/.app-password"',
        '',
      ].join('\n');
    case 'python':
      return python(host, login, outgoing);
    default:
      return name satisfies never;
  }
}

function python(host: string, login: string, { port, tls }: WindowValues['outgoing']): string {
  const open =
    tls === 'implicit'
      ? [`with smtplib.SMTP_SSL("${host}", ${port}, context=context) as server:`]
      : [`with smtplib.SMTP("${host}", ${port}) as server:`, '    server.starttls(context=context)'];
  return [
    'import pathlib, smtplib, ssl',
    'from email.message import EmailMessage',
    '',
    'message = EmailMessage()',
    `message["From"] = "${login}"`,
    `message["To"] = "${login}"`,
    'message["Subject"] = "Test"',
    'message.set_content("It works.")',
    '',
    'password = (pathlib.Path.home() / ".app-password").read_text().strip()',
    'context = ssl.create_default_context()',
    ...open,
    `    server.login("${login}", password)`,
    '    server.send_message(message)',
    '',
  ].join('\n');
}
