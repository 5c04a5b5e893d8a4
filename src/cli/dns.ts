import { X509Certificate } from 'node:crypto';
import { Resolver } from 'node:dns/promises';
import type { Command } from 'commander';
import type { LoadedConfig } from '../config/load.ts';
import { portalCertificates } from '../config/server-tls.ts';
import { mailSettings } from '../portal/client-setup/mail-settings.ts';
import { type SetupRecord, setupRecords, zoneLine } from '../portal/client-setup/srv-records.ts';
import { checkRecord, type RecordFinding } from './dns-check.ts';
import { CommandFailure, type CommandIo, type CommonOptions, exitCode, json } from './io.ts';
import { configurationOf } from './workbench.ts';

type Options = CommonOptions & {
  readonly domain?: string;
  readonly check?: boolean;
  readonly resolver?: string;
};

const answerTimeMs = 5_000;

/** `dns [--domain D] [--check]`: the records that help mail programs to find their settings, and whether they are there. */
export function addDnsCommand(program: Command, io: CommandIo): void {
  program
    .command('dns')
    .description('zone lines that help mail programs to find their settings')
    .option('--domain <domain>', 'of this domain only')
    .option('--check', 'look the records up and say what is missing or different')
    .option('--resolver <address>', 'ask this name server, in place of those of the system')
    .action(async (_: unknown, command: Command) => runDns(command.optsWithGlobals(), io));
}

async function runDns(options: Options, io: CommandIo): Promise<void> {
  const loaded = await configurationOf(options, io);
  const { config } = loaded;
  const all = Object.keys(config.domains);
  const wanted = options.domain?.toLowerCase();
  if (wanted !== undefined && !all.includes(wanted)) {
    throw new CommandFailure(exitCode.usage, `${options.domain} is not among domains.`);
  }
  const settings = mailSettings(config);
  const { publicUrl } = config.portal;
  const portal = { hostname: publicUrl.hostname, isOn443: publicUrl.port === '' };
  const resolver = options.check === true ? resolverOf(options.resolver) : null;
  const zones = [];
  for (const domain of wanted === undefined ? all : [wanted]) {
    const records = setupRecords(domain, settings, portal);
    const findings: RecordFinding[] = [];
    if (resolver !== null) for (const record of records) findings.push(await checkRecord(record, resolver));
    zones.push({ domain, records, findings, notes: notesOf(domain, loaded) });
  }
  if (options.json === true) io.out(json({ domains: zones.map(describe) }));
  else for (const zone of zones) print(zone, io);
  const bad = zones.flatMap(({ findings }) => findings).filter(({ isGood }) => !isGood);
  if (bad.length > 0) {
    throw new CommandFailure(
      exitCode.failed,
      options.json === true
        ? ''
        : `${bad.length} ${bad.length === 1 ? 'record is' : 'records are'} not as listed.`,
    );
  }
}

interface Zone {
  readonly domain: string;
  readonly records: readonly SetupRecord[];
  /** Of each record; empty where nobody looked. */
  readonly findings: readonly RecordFinding[];
  readonly notes: readonly string[];
}

function print({ domain, records, findings, notes }: Zone, io: CommandIo): void {
  io.out(`; ${domain}`);
  for (const [index, record] of records.entries()) {
    const finding = findings[index];
    io.out(zoneLine(record));
    if (finding !== undefined) io.out(`;   ${finding.said}`);
  }
  for (const note of notes) io.out(`; ${note}`);
}

function describe({ domain, records, findings, notes }: Zone) {
  return {
    domain,
    records: records.map((record, index) => {
      const finding = findings[index];
      return {
        ...record,
        line: zoneLine(record),
        ...(finding === undefined ? {} : { ok: finding.isGood, found: finding.said }),
      };
    }),
    notes,
  };
}

/** What the records cannot say: on which ports the documents are looked up, and what stands in the certificate. */
function notesOf(domain: string, { config, secrets }: LoadedConfig & { kind: 'loaded' }): readonly string[] {
  const notes: string[] = [];
  const { publicUrl, tls, redirectPort } = config.portal;
  const names = [`autoconfig.${domain}`, `autodiscover.${domain}`];
  if (publicUrl.port !== '') {
    notes.push(
      redirectPort === null
        ? `Mail programs ask ${names.join(' and ')} on ports 443 and 80 only: have the portal on 443, a web proxy there, or set portal.redirect_port: 80.`
        : `Mail programs ask ${names.join(' and ')} on port 443 first; those that ask port ${redirectPort} are led to ${publicUrl.origin}.`,
    );
  }
  if (tls === 'implicit') {
    const carriers = portalCertificates(config, secrets).map(({ cert }) => new X509Certificate(cert));
    const missing = names.filter((name) => carriers.every((each) => each.checkHost(name) === undefined));
    if (missing.length > 0)
      notes.push(`The certificate of the portal does not carry ${missing.join(' and ')}.`);
  } else {
    notes.push(`The certificate of the web proxy has to carry ${names.join(' and ')}.`);
  }
  const { host, imap, smtp } = mailSettings(config);
  if (imap.length === 0 || smtp.length === 0) {
    notes.push('Without IMAP and SMTP there is no autoconfig document.');
  }
  const mail = secrets.certificates.map(({ cert }) => new X509Certificate(cert));
  if (mail.every((each) => each.checkHost(host) === undefined)) {
    notes.push(`No certificate of tls.certificates carries ${host}, which programs connect to.`);
  }
  return notes;
}

function resolverOf(server: string | undefined): Resolver {
  const resolver = new Resolver({ timeout: answerTimeMs, tries: 2 });
  if (server === undefined) return resolver;
  try {
    resolver.setServers([server]);
  } catch {
    throw new CommandFailure(
      exitCode.usage,
      `--resolver takes an address, such as 192.0.2.53, not "${server}".`,
    );
  }
  return resolver;
}
