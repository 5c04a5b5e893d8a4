import { generate } from 'otplib';
import type { Account } from '../../src/store/schema.ts';
import { Contract } from './api-document.ts';
import { type Bed, Browser, origin } from './bed.ts';
import { signedIn } from './own-session.ts';

type Headers = Readonly<Record<string, string>>;

export interface ApiResponse {
  readonly status: number;
  /** Whatever JSON says: a test looks at what it expects. */
  // biome-ignore lint/suspicious/noExplicitAny: the contract has looked at it already
  readonly body: any;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
}

/**
 * The API in the browser of a test: the same cookies and token as its pages, so that one sets up what the other shows. Every
 * response is held against the OpenAPI document.
 */
export class ApiClient {
  readonly browser: Browser;
  readonly #bed: Bed;
  readonly #contract: Contract;

  private constructor(bed: Bed, browser: Browser, contract: Contract) {
    this.#bed = bed;
    this.browser = browser;
    this.#contract = contract;
  }

  static async open(bed: Bed, browser: Browser = new Browser(bed)): Promise<ApiClient> {
    const client = new ApiClient(bed, browser, await Contract.of(bed));
    // A redirect of a page has shown no token of the session it made.
    if (browser.cookies.size > 0) await client.get('/session');
    return client;
  }

  /** With a second factor shown just now. */
  static async of(bed: Bed, account: Account): Promise<ApiClient> {
    return await ApiClient.open(bed, await signedIn(bed, account));
  }

  async get(path: string, headers: Headers = {}): Promise<ApiResponse> {
    return await this.#send('GET', path, headers, undefined);
  }

  /** `body` without the token, which is the browser's. */
  async post(path: string, body: object = {}, headers: Headers = {}): Promise<ApiResponse> {
    const csrf = this.browser.csrf === null || path === '/session' ? {} : { csrf: this.browser.csrf };
    return await this.send(path, JSON.stringify({ ...csrf, ...body }), headers);
  }

  /** A body as it is. */
  async send(path: string, payload: string | Buffer, headers: Headers = {}): Promise<ApiResponse> {
    return await this.#send(
      'POST',
      path,
      { origin, 'content-type': 'application/json', ...headers },
      payload,
    );
  }

  /** As {@link post}, and what comes of it; throws for a problem. */
  async do(path: string, body: object = {}): Promise<ApiResponse['body']> {
    const response = await this.post(path, body);
    if (response.status >= 300) throw new Error(`${path}: ${response.text}`);
    return response.body;
  }

  /** Sets up an authenticator app as the first method. Answers its key. */
  async enroll(): Promise<{ readonly code: () => Promise<string> }> {
    const { key } = await this.do('/enrollment/totp/begin');
    const code = async () => generate({ secret: key, epoch: Math.floor(this.#bed.clock.now() / 1_000) });
    await this.do('/enrollment/totp', { code: await code() });
    return { code };
  }

  async #send(
    method: 'GET' | 'POST',
    path: string,
    headers: Headers,
    payload: string | Buffer | undefined,
  ): Promise<ApiResponse> {
    const { browser } = this;
    const url = `/api/v1${path}`;
    const response = await this.#bed.app.inject({
      method,
      url,
      remoteAddress: browser.remoteAddress,
      headers: {
        host: new URL(this.#bed.config.portal.publicUrl).host,
        cookie: [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; '),
        ...headers,
      },
      ...(payload === undefined ? {} : { payload }),
    });
    for (const cookie of response.cookies) {
      if (cookie.value === '') browser.cookies.delete(cookie.name);
      else browser.cookies.set(cookie.name, cookie.value);
    }
    this.#contract.check(method, url, response);
    const body = JSON.parse(response.body);
    if (response.statusCode < 300 && 'csrf' in body) browser.csrf = body.csrf;
    return { status: response.statusCode, body, headers: response.headers, text: response.body };
  }
}
