import { z } from 'zod';
import type { CronEndpoint } from '../../cron/handlers/find-endpoint.ts';
import type { EndpointAccess, EndpointDescription } from '../../http/describe-endpoint.ts';
import { schemaVersion } from '../../store/migrate/schema-version.ts';
import type { Endpoints } from '../endpoints.ts';
import { type JsonSchema, jsonSchema } from './json-schema.ts';

export interface OpenApiParameter {
  name: string;
  in: 'path' | 'query';
  required: boolean;
  description?: string;
  schema: JsonSchema;
  example?: string;
}

interface Content {
  content: Record<string, { schema: JsonSchema; example?: object }>;
}

export interface OpenApiOperation {
  operationId: string;
  tags: string[];
  summary: string;
  security: Record<string, string[]>[];
  parameters: OpenApiParameter[];
  requestBody?: Content & { required: boolean };
  responses: Record<string, { description: string } & Partial<Content>>;
}

export interface OpenApiDocument {
  openapi: '3.1.0';
  info: { title: string; version: string };
  servers: { url: string }[];
  paths: Record<string, Record<string, OpenApiOperation>>;
  components: object;
}

/** What answers a call, by the ways in which the caller may be known. None: everybody. */
const security: Record<EndpointAccess, Record<string, string[]>[]> = {
  key: [{ apiKey: [] }, { session: [] }],
  cron: [{ cronSecret: [] }],
  'key or cron': [{ apiKey: [] }, { session: [] }, { cronSecret: [] }],
  webhook: [{ webhook: [] }],
  none: [],
};

const securitySchemes = {
  apiKey: {
    type: 'http',
    scheme: 'bearer',
    description: 'API_KEY or one of API_KEYS; to read, also VIEWER_API_KEY.',
  },
  session: {
    type: 'apiKey',
    in: 'cookie',
    name: 'punctual_session',
    description: 'The dashboard’s session.',
  },
  cronSecret: { type: 'http', scheme: 'bearer', description: 'CRON_SECRET.' },
  webhook: {
    type: 'apiKey',
    in: 'header',
    name: 'X-Hub-Signature-256',
    description: 'The provider’s signature or secret. Unipile sends Unipile-Auth or Unipile-Signature.',
  },
};

/** What each status of an error means. */
const meanings: Record<number, string> = {
  400: 'The query or the JSON is malformed.',
  401: 'The secret is missing or wrong.',
  403: 'A viewer called another method than GET, or a change with the session cookie came from another site.',
  404: 'There is no such path, queue or row.',
  409: 'The row’s state does not allow it.',
  413: 'The body is too large.',
  422: 'A field is wrong. Nothing was created or changed.',
  429: 'Too many wrong passwords: wait a minute.',
  500: 'A fault of Punctual; the log has it.',
  503: 'Something is not configured, a setting does not fit, or the database is unreachable.',
};

const error = z.object({
  error: z.looseObject({
    kind: z.string().describe('For programs. It does not change.'),
    message: z.string().describe('For people.'),
    errors: z
      .array(
        z.object({
          index: z.number().nullish().describe('The row’s position in the request, from 0.'),
          field: z.string(),
          message: z.string(),
        }),
      )
      .optional(),
    variables: z.array(z.string()).optional().describe('The settings that are missing.'),
  }),
});

/** The response of an error: `{ error: { kind, message, … } }`. */
export type ApiErrorBody = z.output<typeof error>;

const parameterTexts: Record<string, string> = {
  id: 'The id, as lists return it.',
  queue: 'The queue’s name.',
  name: 'The name.',
  key: 'The key, as the list returns it.',
};

/** Describes endpoints and cron paths as an OpenAPI 3.1 document. Summaries are Markdown; their links are relative to `docs/`. */
export function apiDocument(endpoints: Endpoints, cron: Record<string, CronEndpoint>): OpenApiDocument {
  const paths: OpenApiDocument['paths'] = {};
  const add = (method: string, path: string, description: EndpointDescription) => {
    const template = path.replace(/:(\w+)/g, '{$1}');
    paths[template] ??= {};
    paths[template][method.toLowerCase()] = operation(method, path, description);
  };
  for (const [name, { description }] of Object.entries(endpoints)) {
    const [method = '', path = ''] = name.split(' ');
    add(method, path, description);
  }
  for (const [name, { handler: _, ...description }] of Object.entries(cron))
    for (const method of ['GET', 'POST']) add(method, `/cron/${name}`, { ...description, access: 'cron' });
  return {
    openapi: '3.1.0',
    info: { title: 'Punctual', version: schemaVersion },
    servers: [{ url: '/api' }],
    paths,
    components: { securitySchemes, schemas: { Error: jsonSchema(error, 'output') } },
  };
}

function operation(method: string, path: string, description: EndpointDescription): OpenApiOperation {
  const { summary, body, bodyIsOptional = false, example, access } = description;
  const parts = path.split('/').filter(Boolean);
  return {
    operationId: method.toLowerCase() + parts.map(toPascalCase).join(''),
    tags: parts.slice(0, 1),
    summary,
    security: security[access],
    parameters: [...pathParameters(parts), ...queryParameters(description)],
    ...(body && {
      requestBody: {
        required: !bodyIsOptional,
        content: {
          'application/json': {
            schema: jsonSchema(body, 'input'),
            ...(typeof example === 'object' && { example }),
          },
        },
      },
    }),
    responses: responses(description),
  };
}

function toPascalCase(part: string): string {
  const by = part.startsWith(':') ? 'By' : '';
  return (
    by +
    part
      .replace(/(^|[^a-z0-9]+)([a-z])/gi, (_, _separator, letter: string) => letter.toUpperCase())
      .replace(/\W/g, '')
  );
}

function pathParameters(parts: string[]): OpenApiParameter[] {
  const names = parts.filter((part) => part.startsWith(':')).map((part) => part.slice(1));
  return names.map((name) => ({
    name,
    in: 'path',
    required: true,
    description: parameterTexts[name],
    schema: { type: 'string' },
  }));
}

function queryParameters({ query, example }: EndpointDescription): OpenApiParameter[] {
  const examples = new URLSearchParams(typeof example === 'string' ? example : '');
  return Object.entries(query?.shape ?? {}).map(([name, field]) => {
    const { description, ...schema } = jsonSchema(field as z.ZodType, 'input');
    const value = examples.get(name);
    return {
      name,
      in: 'query',
      required: !(field as z.ZodType).safeParse(undefined).success,
      description,
      schema,
      ...(value !== null && { example: value }),
    };
  });
}

function responses(description: EndpointDescription): OpenApiOperation['responses'] {
  const { response, statuses = [200], mediaType = 'application/json' } = description;
  const schema = jsonSchema(response, 'output');
  const content = response instanceof z.ZodUndefined ? {} : { content: { [mediaType]: { schema } } };
  const found = statuses.map((status) => [status, { description: 'Success.', ...content }]);
  const failed = errorStatuses(description).map((status) => [
    status,
    {
      description: meanings[status] ?? 'An error.',
      content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
    },
  ]);
  return Object.fromEntries([...failed, ...found]);
}

/** The statuses of errors, in order. */
function errorStatuses({ access, body, errors = [] }: EndpointDescription): number[] {
  if (access === 'none') return [...(body ? [400] : []), ...errors];
  const own = [...errors, 400, 401, 500, 503];
  if (access === 'key' || access === 'key or cron') own.push(403);
  if (body) own.push(413, 422);
  return [...new Set(own)].sort((a, b) => a - b);
}
