import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Contract, compileStrictly } from '../api-document.ts';
import { type Bed, Browser, openBed } from '../bed.ts';
import { mountedRoutes } from '../mounted-routes.ts';

describe('the OpenAPI document', () => {
  let bed: Bed;
  let contract: Contract;

  beforeAll(async () => {
    bed = await openBed();
    contract = await Contract.of(bed);
  });
  afterAll(async () => {
    await bed.close();
  });

  it('names every route that is mounted, and no other', () => {
    const mounted = mountedRoutes(bed).filter((route) => route.includes(' /api/'));
    const documented = Object.entries(contract.document.paths).flatMap(([path, operations]) =>
      Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(documented.toSorted()).toEqual(mounted.toSorted());
    expect(documented.length).toBeGreaterThan(50);
  });

  it('is OpenAPI 3.1, whose schemas a strict reader takes', () => {
    const { openapi, components, paths } = contract.document;
    expect(openapi).toBe('3.1.1');
    expect(() => compileStrictly(components.schemas)).not.toThrow();
    const ids = Object.values(paths).flatMap((each) => Object.values(each).map((one) => one.operationId));
    expect(new Set(ids).size).toBe(ids.length);
    const used = [...JSON.stringify(contract.document).matchAll(/"#\/components\/schemas\/([^"]+)"/g)];
    const names = new Set(used.map(([, name]) => name));
    expect([...names].filter((name) => !Object.hasOwn(components.schemas, name ?? ''))).toEqual([]);
    expect(Object.keys(components.schemas).filter((name) => !names.has(name))).toEqual([]);
  });

  it('S-63: lets no other name into a body, and none into a result', () => {
    for (const [name, schema] of Object.entries(contract.document.components.schemas)) {
      // The document itself, and questions that browsers understand better than we.
      if (name === 'getOpenapiJsonResult') continue;
      expect({ name, schema }).toMatchObject({ name, schema: { additionalProperties: false } });
    }
  });

  it('is for everybody, says nothing of this installation but its address, and is not kept', async () => {
    const response = await new Browser(bed).get('/api/v1/openapi.json');
    expect(response.statusCode).toBe(200);
    expect(response.headers['content-type']).toMatch(/^application\/json/);
    expect(response.headers['cache-control']).toBe('no-store');
    expect(response.json()).toMatchObject({ servers: [{ url: 'https://mail.example.com:8443' }] });
    expect(response.body).not.toContain('office');
  });

  it('fails where a response is not as it says', () => {
    const check =
      (status: number, body: object, type = 'application/json') =>
      () =>
        contract.check('GET', '/api/v1/session', {
          statusCode: status,
          headers: { 'content-type': type },
          body: JSON.stringify(body),
        });
    const anonymous = {
      ...{ level: 'anonymous', address: null, csrf: null, next: 'sign-in' },
      ...{ isAdministrator: false, freshUntil: null, endsAt: null },
    };
    expect(check(200, anonymous)).not.toThrow();
    expect(check(200, { ...anonymous, more: 1 })).toThrow('not as documented');
    expect(check(200, { ...anonymous, level: 'root' })).toThrow('not as documented');
    expect(check(200, { level: 'anonymous' })).toThrow('not as documented');
    expect(check(418, anonymous)).toThrow('not in the document');
    const problem = { type: 'urn:sallyport:problem:held', title: 'x', status: 503 };
    expect(check(503, problem, 'application/problem+json')).toThrow('not as documented');
  });
});
