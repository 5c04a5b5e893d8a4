import { createHash, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { makeThrowAwayCertificates } from '../../src/demo/certificates.ts';
import { freePort } from '../../src/demo/free-port.ts';
import { makeScratchFolder } from '../../src/demo/scratch-folder.ts';
import type { StartedSession } from '../../src/identity/portal-session.ts';
import { type Bed, openBed, portalConfig } from '../portal/bed.ts';
import type { OpenSessions } from '../portal/own-session.ts';

/** A portal that listens, and windows of Chromium that look at it. */
export interface PortalWindows {
  readonly bed: Bed;
  /** Without a slash at the end. */
  readonly origin: string;
  /** `session`: of whom the window is. `language`: what its browser asks for. */
  open(options: {
    readonly session?: StartedSession<never> | { token: string; session: { level: string } };
    readonly language?: string;
    readonly context?: BrowserContextOptions;
  }): Promise<{ readonly page: Page; readonly complaints: string[]; close(): Promise<void> }>;
  close(): Promise<void>;
}

export async function openPortalWindows(
  options: { readonly liveSessions?: OpenSessions; readonly config?: Readonly<Record<string, unknown>> } = {},
): Promise<PortalWindows> {
  const scratch = await makeScratchFolder();
  const certificates = await makeThrowAwayCertificates(scratch.path);
  const cert = await readFile(certificates.certFile);
  const port = await freePort();
  const origin = `https://localhost:${port}`;
  const bed = await openBed({
    config: portalConfig({
      portal: { host: '127.0.0.1', port, public_url: origin, time_zone: 'Europe/Riga' },
      ...options.config,
    }),
    tls: { cert, key: await readFile(certificates.keyFile) },
    ...(options.liveSessions === undefined ? {} : { liveSessions: options.liveSessions }),
  });
  await bed.app.listen({ host: '127.0.0.1', port });
  const browser: Browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      // Passkeys need a certificate without a fault, and to ignore one is not enough.
      `--ignore-certificate-errors-spki-list=${keyDigest(cert)}`,
    ],
  });
  return {
    bed,
    origin,
    open: async ({ session, language = 'en', context: contextOptions }) => {
      // Chromium takes no authority for one context; TLS itself is checked by the tests of the server.
      const context = await browser.newContext({
        ignoreHTTPSErrors: true,
        locale: language,
        ...contextOptions,
      });
      if (session !== undefined) {
        const name = session.session.level === 'first-factor' ? '__Host-sp-pre' : '__Host-sp';
        await context.addCookies([{ name, value: session.token, url: origin, secure: true, httpOnly: true }]);
      }
      const page = await context.newPage();
      const complaints: string[] = [];
      page.on('console', (message) => {
        if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
      });
      page.on('pageerror', (error) => complaints.push(error.message));
      return { page, complaints, close: () => context.close() };
    },
    close: async () => {
      await browser.close();
      await bed.close();
      await scratch.remove();
    },
  };
}

function keyDigest(cert: Buffer): string {
  const key = new X509Certificate(cert).publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(key).digest('base64');
}
