import { z } from 'zod';
import { type ProblemCode, problemSchema, statusOf, typeOf } from './problem.ts';
import { type ApiRoute, problemsOf } from './route.ts';

type Json = Readonly<Record<string, unknown>>;

/**
 * The OpenAPI 3.1 document of the routes, made from what they are mounted and checked with, so that it cannot say anything else.
 */
export function openApiDocument(routes: readonly ApiRoute[], server: string): Json {
  const bodies = z.registry<{ id: string }>();
  const results = z.registry<{ id: string }>();
  results.add(problemSchema, { id: 'Problem' });
  for (const route of routes) {
    if (route.method === 'POST') bodies.add(route.body, { id: `${operationOf(route)}Body` });
    // One that several routes answer is named by the first.
    if (!results.has(route.result)) results.add(route.result, { id: `${operationOf(route)}Result` });
  }
  const paths: Record<string, Record<string, Json>> = {};
  for (const route of routes) {
    const path = route.path.replaceAll(/:(\w+)/g, '{$1}');
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(route, results) };
  }
  return {
    openapi: '3.1.1',
    info: {
      title: 'Sallyport side-port',
      version: '1',
      description:
        'What the pages do, as JSON: with the session cookie of the same browser, the same levels and the same limits. ' +
        'Every POST needs the Origin header of this server and, in its body, the "csrf" that GET /api/v1/session answers. ' +
        'Codes of problems never change their meaning; new ones may be added, as may members of results.',
    },
    servers: [{ url: server }],
    paths,
    components: {
      schemas: { ...schemasOf(bodies, 'input'), ...schemasOf(results, 'output') },
      responses: sharedResponses(routes),
      securitySchemes: {
        session: { type: 'apiKey', in: 'cookie', name: '__Host-sp', description: 'After a second factor.' },
        firstFactor: { type: 'apiKey', in: 'cookie', name: '__Host-sp-pre', description: 'Before one.' },
      },
    },
  };
}

function operation(route: ApiRoute, results: z.core.$ZodRegistry<{ id: string }>): Json {
  const { level, role, status, summary } = route;
  const parameters = [
    ...(route.path.includes(':id')
      ? [{ name: 'id', in: 'path', required: true, schema: { type: 'string', pattern: '^[0-9a-f]{32}$' } }]
      : []),
    ...Object.entries(route.query).map(([name, description]) => ({
      ...{ name, in: 'query', description },
      schema: { type: 'string' },
    })),
  ];
  const named = results.get(route.result)?.id ?? '';
  return {
    operationId: operationOf(route),
    summary,
    security: securityOf(route),
    'x-level': level,
    ...(role === null ? {} : { 'x-role': role }),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(route.method === 'POST'
      ? { requestBody: { required: true, content: content('application/json', `${operationOf(route)}Body`) } }
      : {}),
    responses: {
      [status]: { description: 'Done.', content: content('application/json', named) },
      ...problemResponses(route),
    },
  };
}

/** By status; of each the codes that this route can answer. */
function problemResponses(route: ApiRoute): Json {
  return Object.fromEntries(
    [...problemsByStatus(route)].map(([status, codes]) => [
      status,
      { $ref: `#/components/responses/${nameOf(codes)}` },
    ]),
  );
}

/** Each once: most routes can answer the same. */
function sharedResponses(routes: readonly ApiRoute[]): Json {
  const all = routes.flatMap((route) => [...problemsByStatus(route).values()]);
  return Object.fromEntries(
    all.map((codes) => [
      nameOf(codes),
      {
        description: codes.join(', '),
        content: {
          'application/problem+json': {
            schema: {
              $ref: '#/components/schemas/Problem',
              properties: { type: { enum: codes.map(typeOf) } },
            },
          },
        },
      },
    ]),
  );
}

function problemsByStatus(route: ApiRoute): ReadonlyMap<number, readonly ProblemCode[]> {
  return Map.groupBy([...problemsOf(route)].toSorted(), statusOf);
}

function nameOf(codes: readonly ProblemCode[]): string {
  return codes.join('.');
}

function content(type: string, schema: string): Json {
  return { [type]: { schema: { $ref: `#/components/schemas/${schema}` } } };
}

function securityOf({ level }: ApiRoute): readonly Json[] {
  switch (level) {
    case 'anyone':
      return [];
    case 'signed-in':
      return [{ session: [] }, { firstFactor: [] }];
    case 'first-factor':
      return [{ firstFactor: [] }];
    case 'full':
    case 'stepped-up':
      return [{ session: [] }];
    default:
      return level satisfies never;
  }
}

/** `GET /api/v1/app-passwords/:id` is getAppPasswordsId. */
function operationOf({ method, path }: ApiRoute): string {
  const words = path.split(/[/:.-]+/).slice(3);
  const named = words.map((word) => `${word.charAt(0).toUpperCase()}${word.slice(1)}`);
  return `${method.toLowerCase()}${named.join('')}`;
}

function schemasOf(registry: z.core.$ZodRegistry<{ id: string }>, io: 'input' | 'output'): Json {
  const { schemas } = z.toJSONSchema(registry, { io, uri: (id) => `#/components/schemas/${id}` });
  return Object.fromEntries(
    // What an OpenAPI document says of itself once.
    Object.entries(schemas).map(([name, { $schema, $id, ...schema }]) => [name, schema]),
  );
}
