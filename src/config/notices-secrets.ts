import { Secret } from '../secret.ts';
import type { Findings } from './read-certificates.ts';
import type { Config } from './schema.ts';
import { readSetting } from './setting-file.ts';

/** As long as what it keys. */
const leastBytes = 32;

/** What signs the webhook's messages; null where there is no webhook, or the file is of no use: that is among the problems then. */
export async function readWebhookSecret(
  { notices }: Pick<Config, 'notices'>,
  { problems }: Findings,
): Promise<Secret | null> {
  if (notices.webhook === null) return null;
  const { url, secretFile } = notices.webhook;
  // It would be in the log of every proxy.
  if (url.username !== '' || url.password !== '') problems.push('notices.webhook.url: must hold no password');
  const content = await readSetting('notices.webhook.secret_file', secretFile, problems);
  if (content === null) return null;
  const text = content.toString('utf8').replace(/\r?\n$/, '');
  if (Buffer.byteLength(text) >= leastBytes) return Secret.fromText(text);
  problems.push(`notices.webhook.secret_file: ${secretFile} holds less than ${leastBytes} bytes`);
  return null;
}
