import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { text } from 'node:stream/consumers';
import { generate } from 'otplib';
import type { TestGateway } from './gateway.ts';

/** A page as a browser without scripts has it after following redirects. */
interface Page {
  readonly path: string;
  readonly html: string;
}

/** Walks the portal's pages over HTTPS with cookies, as a person does; throws where a page is not the one expected. */
export class PortalClient {
  readonly #bed: TestGateway;
  readonly #cookies = new Map<string, string>();
  #page: Page = { path: '/', html: '' };

  constructor(bed: TestGateway) {
    this.#bed = bed;
  }

  async signIn(address: string, password: string): Promise<void> {
    await this.#open('GET', '/sign-in');
    await this.#submit('/sign-in', { address, password });
  }

  /** Sets up the authenticator app and creates the first app password. Answers both secrets as the pages show them. */
  async enroll(): Promise<{ readonly seed: string; readonly appPassword: string }> {
    this.#expectPath('/set-up');
    await this.#submit('/set-up', {});
    await this.#submit('/set-up/method', { method: 'totp' });
    const seed = this.#codeElement('key');
    await this.#submit('/set-up/app', { code: await generate({ secret: seed }) });
    this.#expectPath('/set-up/verified');
    await this.#open('GET', '/app-passwords/new');
    await this.#submit('/app-passwords/new', { app: 'outlook', device: 'desk', imap: 'on', smtp: 'on' });
    return { seed, appPassword: this.#codeElement('secret') };
  }

  #expectPath(path: string): void {
    if (this.#page.path !== path)
      throw new Error(`expected ${path}, got ${this.#page.path}: ${this.#page.html}`);
  }

  #codeElement(id: string): string {
    const element = new RegExp(`<code id="${id}"[^>]*>(.*?)</code>`).exec(this.#page.html)?.[1];
    if (element === undefined) throw new Error(`no ${id} on ${this.#page.path}: ${this.#page.html}`);
    return element.replace(/<[^>]+>|\s/g, '');
  }

  async #submit(path: string, fields: Readonly<Record<string, string>>): Promise<void> {
    const csrf = /name="csrf" value="([^"]+)"/.exec(this.#page.html)?.[1];
    const body = new URLSearchParams({ ...fields, ...(csrf === undefined ? {} : { csrf }) });
    await this.#open('POST', path, body.toString());
  }

  async #open(method: 'GET' | 'POST', path: string, body?: string): Promise<void> {
    const response = await this.#send(method, path, body);
    const html = await text(response);
    for (const cookie of response.headers['set-cookie'] ?? []) {
      const [name = '', value = ''] = cookie.split(';')[0]?.split('=') ?? [];
      if (value === '') this.#cookies.delete(name);
      else this.#cookies.set(name, value);
    }
    const { location } = response.headers;
    if (location !== undefined) await this.#open('GET', location);
    else this.#page = { path, html };
  }

  async #send(method: 'GET' | 'POST', path: string, body: string | undefined): Promise<IncomingMessage> {
    const outgoing = request(new URL(path, this.#bed.portalUrl), {
      method,
      ca: this.#bed.ca,
      headers: {
        origin: this.#bed.portalUrl,
        cookie: [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; '),
        ...(body === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
      },
    });
    outgoing.end(body);
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
    return response;
  }
}
