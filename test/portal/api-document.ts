import { createRequire } from 'node:module';
import { join } from 'node:path';
import { type Bed, Browser } from './bed.ts';

/** What is needed of Ajv, which Fastify brings along: a reader of JSON Schema that is not the one that wrote it. */
interface Validator {
  addSchema(schema: object, name: string): void;
  compile(schema: object): { (value: unknown): boolean; readonly errors?: unknown };
}
const ofFastify = createRequire(join(import.meta.dirname, '../../node_modules/fastify/package.json'));
const { Ajv2020 } = ofFastify('ajv/dist/2020.js') as { Ajv2020: new (options: object) => Validator };

const formats = { 'date-time': /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/ };

interface Response {
  readonly content: Readonly<Record<string, object>>;
}

interface Operation {
  readonly operationId: string;
  readonly 'x-level': string;
  readonly 'x-role'?: string;
  readonly responses: Readonly<Record<string, Response | { readonly $ref: string }>>;
}

/** The document as a portal gives it away. */
export interface ApiDocument {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, object>>;
    readonly responses: Readonly<Record<string, Response>>;
  };
}

const known = new Map<string, Contract>();

/** Holds responses against the document. */
export class Contract {
  readonly document: ApiDocument;
  readonly #ajv = new Ajv2020({ strict: false, allErrors: true, formats });
  readonly #checks = new Map<string, ReturnType<Validator['compile']>>();

  private constructor(text: string) {
    this.document = JSON.parse(text) as ApiDocument;
    this.#ajv.addSchema(this.document, 'api');
  }

  static async of(bed: Bed): Promise<Contract> {
    const { body } = await new Browser(bed).get('/api/v1/openapi.json');
    const contract = known.get(body) ?? new Contract(body);
    known.set(body, contract);
    return contract;
  }

  /** Throws for a response that the document does not know. */
  check(
    method: string,
    url: string,
    answer: {
      readonly statusCode: number;
      readonly headers: Readonly<Record<string, unknown>>;
      readonly body: string;
    },
  ): void {
    const path = this.#pathOf(url);
    // Of no route of the document there is nothing it could say.
    if (path === null) return;
    const { statusCode: status } = answer;
    const type = String(answer.headers['content-type']).split(';')[0] ?? '';
    const where = `${method} ${path} ${status}`;
    const response = this.document.paths[path]?.[method.toLowerCase()]?.responses[status];
    const shared = response !== undefined && '$ref' in response ? response.$ref.split('/').at(-1) : undefined;
    const known = shared === undefined ? response : this.document.components.responses[shared];
    if (known === undefined || !('content' in known) || known.content[type] === undefined) {
      throw new Error(`${where} ${type} is not in the document: ${answer.body}`);
    }
    const place =
      shared === undefined
        ? ['paths', path, method.toLowerCase(), 'responses', status]
        : ['components', 'responses', shared];
    const check = this.#checks.get(where) ?? this.#compile([...place, 'content', type, 'schema']);
    this.#checks.set(where, check);
    if (!check(JSON.parse(answer.body))) {
      throw new Error(`${where} is not as documented: ${JSON.stringify(check.errors)} ${answer.body}`);
    }
  }

  #compile(place: readonly (string | number)[]) {
    const pointer = place
      .map((part) => encodeURIComponent(String(part).replaceAll('~', '~0').replaceAll('/', '~1')))
      .join('/');
    return this.#ajv.compile({ $ref: `api#/${pointer}` });
  }

  /** Literal paths before those with a part that varies, as a router has it. */
  #pathOf(url: string): string | null {
    const [path = ''] = url.split('?');
    if (Object.hasOwn(this.document.paths, path)) return path;
    const given = path.split('/');
    const fits = Object.keys(this.document.paths).find((each) => {
      const wanted = each.split('/');
      return (
        wanted.length === given.length &&
        wanted.every((part, at) => part.startsWith('{') || part === given[at])
      );
    });
    return fits ?? null;
  }
}

/** Each schema of the document on its own, strictly: no keyword that a reader would pass over. */
export function compileStrictly(schemas: Readonly<Record<string, object>>): void {
  const ajv = new Ajv2020({ strict: true, strictTypes: false, strictRequired: false, formats });
  for (const [name, schema] of Object.entries(schemas)) ajv.addSchema(schema, `#/components/schemas/${name}`);
  for (const schema of Object.values(schemas)) ajv.compile({ ...schema });
}
