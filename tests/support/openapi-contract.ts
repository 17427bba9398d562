import type { ErrorObject, ValidateFunction } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { allEndpoints } from '../../lib/api/all-endpoints.ts';
import { answerApi } from '../../lib/api/answer-api.ts';
import type { OpenApiOperation } from '../../lib/api/openapi/document.ts';
import { documentOf } from '../../lib/api/openapi/endpoint.ts';
import { bearer, CRON_SECRET, type RequestHeaders, withKey } from './api-server.ts';

interface Sent {
  query?: string;
  /** A text is sent as it is, and is not compared with the document. */
  body?: object | string;
  headers?: RequestHeaders;
}

/** Calls the API, and compares each request and each response with its document. */
export async function openApiContract() {
  const document = await documentOf(allEndpoints);
  const ajv = addFormats.default(new Ajv2020({ allErrors: true, strict: false }));
  ajv.addSchema({ $id: 'document', components: closed(document.components) });
  const validators = new Map<object, ValidateFunction>();
  const seen = new Map<string, Set<number>>();

  function faultsOf(schema: object, value: unknown): Partial<ErrorObject>[] {
    const text = JSON.stringify(closed(schema)).replaceAll('"#/components', '"document#/components');
    const validate = validators.get(schema) ?? ajv.compile(JSON.parse(text));
    validators.set(schema, validate);
    return validate(value) ? [] : (validate.errors ?? []);
  }

  function assertFits(what: string, schema: object, value: unknown): void {
    const faults = faultsOf(schema, value).map(({ instancePath, message, params }) => [
      instancePath,
      message,
      params,
    ]);
    if (faults.length > 0)
      throw new Error(
        `${what}\n${JSON.stringify(value).slice(0, 2_000)}\n${JSON.stringify(faults, null, 1)}`,
      );
  }

  return {
    document,
    /** The operations of the document as `GET /accounts/{id}`, each with the statuses that were seen. */
    seen,
    operations: Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({
        name: `${method.toUpperCase()} ${path}`,
        operation,
      })),
    ),
    /** Calls an operation, for example `GET /accounts/{id}` with `{ id }`. Throws an error if the document does not describe the response. */
    async call(
      name: string,
      params: Record<string, string> = {},
      { query = '', body, headers }: Sent = {},
      // biome-ignore lint/suspicious/noExplicitAny: JSON, for assertions
    ): Promise<{ status: number; body: any }> {
      const [method = '', template = ''] = name.split(' ');
      const operation = document.paths[template]?.[method.toLowerCase()];
      if (!operation) throw new Error(`the document has no ${name}`);
      const parts = template
        .slice(1)
        .split('/')
        .map((part) => params[part.replace(/[{}]/g, '')] ?? part);
      const request = new Request(`http://app.test/api/${parts.join('/')}?${query}`, {
        method,
        headers: { host: 'app.test', ...(headers ?? secretOf(operation)) },
        body: typeof body === 'object' ? JSON.stringify(body) : body,
      });
      const response = await answerApi(request, parts, {});
      const { status } = response;
      const text = await response.text();
      const described = operation.responses[status];
      if (!described) throw new Error(`${name} answered ${status}, which its description lacks: ${text}`);
      const [content] = Object.entries(described.content ?? {});
      const type = response.headers.get('content-type')?.split(';')[0];
      if (content && content[0] !== type) throw new Error(`${name} answered ${type}, not ${content[0]}`);
      const answer = type === 'application/json' ? JSON.parse(text) : text;
      if (content) assertFits(`${name} answered ${status}`, content[1].schema, answer);
      const requestSchema = operation.requestBody?.content['application/json']?.schema;
      // An accepted body must fit too.
      if (status < 300 && typeof body === 'object' && requestSchema)
        assertFits(`${name} accepted a body`, requestSchema, body);
      seen.set(name, (seen.get(name) ?? new Set()).add(status));
      return { status, body: answer };
    },
  };
}

/** The document does not close objects, so that responses may get more fields. Here an undescribed field is a fault. */
function closed<T>(schema: T): T {
  if (Array.isArray(schema)) return schema.map(closed) as T;
  if (typeof schema !== 'object' || schema === null) return schema;
  const copy = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closed(value)]));
  const isObject = 'properties' in copy && copy.type === 'object' && !('additionalProperties' in copy);
  return (isObject ? { ...copy, additionalProperties: false } : copy) as T;
}

function secretOf({ security }: OpenApiOperation): RequestHeaders {
  if (security.some((one) => 'apiKey' in one)) return withKey;
  return security.some((one) => 'cronSecret' in one) ? bearer(CRON_SECRET) : {};
}
