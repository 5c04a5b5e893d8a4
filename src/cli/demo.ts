import { once } from 'node:events';
import { ScratchError } from '../demo/scratch-error.ts';
import { type DemoSite, demoAddress, startDemoSite } from '../demo/site.ts';
import { tryDemoSite } from '../demo/trial.ts';
import { CommandFailure, type CommandIo, exitCode, json } from './io.ts';

/**
 * Runs a whole site in a scratch folder: prints how to try it and stays until the signal, or tries it itself and ends.
 * Leaves no process and no file.
 */
export async function runDemo(
  options: { readonly try: boolean; readonly json: boolean },
  io: Pick<CommandIo, 'out' | 'signal'>,
): Promise<void> {
  const started = performance.now();
  const site = await startSite();
  try {
    if (options.try) {
      // Each step has said what it saw.
      if (!(await tryDemoSite(site, io.out))) throw new CommandFailure(exitCode.failed, '');
      return;
    }
    if (options.json) io.out(json(facts(site)));
    else for (const line of guide(site, performance.now() - started)) io.out(line);
    if (!io.signal.aborted) await once(io.signal, 'abort');
  } finally {
    await site.stop();
  }
}

async function startSite(): Promise<DemoSite> {
  try {
    return await startDemoSite();
  } catch (error) {
    if (error instanceof ScratchError) throw new CommandFailure(exitCode.failed, error.message);
    throw error;
  }
}

function facts(site: DemoSite) {
  return {
    portalUrl: site.portalUrl,
    address: demoAddress,
    mainPassword: site.mainPassword,
    appPassword: site.appPassword,
    host: 'localhost',
    imapPort: site.imapPort,
    smtpPort: site.smtpPort,
    caFile: site.caFile,
    configFile: site.configFile,
    logFile: site.logFile,
  };
}

function guide(site: DemoSite, tookMs: number): readonly string[] {
  const login = `--cacert ${site.caFile} --user '${demoAddress}:${site.appPassword}'`;
  return [
    `Sallyport runs in front of a Dovecot and a Postfix of its own, up in ${(tookMs / 1_000).toFixed(1)} s.`,
    '',
    'The portal, where people get app passwords (your browser will warn of the throw-away certificate):',
    `  ${site.portalUrl}`,
    `  sign in as     ${demoAddress}`,
    `  main password  ${site.mainPassword}`,
    '',
    'An app password that alice already has:',
    `  ${site.appPassword}`,
    '',
    'Read a mail with it:',
    `  curl ${login} 'imaps://localhost:${site.imapPort}/INBOX;MAILINDEX=1'`,
    '',
    'Send one, then read that with MAILINDEX=2:',
    `  curl ${login} --mail-from ${demoAddress} --mail-rcpt ${demoAddress} --upload-file ${site.messageFile} smtps://localhost:${site.smtpPort}`,
    '',
    'See the main password refused, with the reason:',
    `  curl -v --cacert ${site.caFile} --user '${demoAddress}:${site.mainPassword}' imaps://localhost:${site.imapPort}`,
    '',
    `Configuration  ${site.configFile}`,
    `Log            ${site.logFile}`,
    '',
    'Ctrl-C ends it and leaves nothing behind.',
  ];
}
