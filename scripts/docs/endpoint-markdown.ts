import type { OpenApiOperation, OpenApiParameter } from '../../lib/api/openapi/document.ts';
import type { JsonSchema } from '../../lib/api/openapi/json-schema.ts';

/** An operation as the page names it. */
export interface Endpoint {
  method: string;
  /** With `:id` in place of `{id}`, and with `/api`. */
  path: string;
  operation: OpenApiOperation;
}

/** A response with more fields than these is shortened. */
const maxKeys = 8;
/** Returns a table with one line for each endpoint. */
export function endpointTable(endpoints: Endpoint[]): string {
  const lines = endpoints.map(
    (endpoint) =>
      `| ${nameOf(endpoint)} | ${escapeBars(endpoint.operation.summary)} | ${returned(endpoint)} |`,
  );
  return ['| call | | returns |', '|---|---|---|', ...lines].join('\n');
}

/** Returns an endpoint's parameters, fields and example; null if it has none. `isNamed` adds a heading. */
export function endpointDetails(endpoint: Endpoint, { isNamed = true } = {}): string | null {
  const parts = [example(endpoint), parameterTable(endpoint), fieldTable(endpoint)].filter(
    (part) => part !== null,
  );
  if (parts.length === 0) return null;
  return [...(isNamed ? [`### ${nameOf(endpoint)}`] : []), ...parts].join('\n\n');
}

/** Returns the parameters that an endpoint takes in its query. The conventions of the page explain those that are the same in all lists. */
export function queryParameters({ operation }: Endpoint): OpenApiParameter[] {
  const parameters = operation.parameters.filter((one) => one.in === 'query');
  const isList =
    parameters.some(({ name }) => name === 'cursor') && parameters.some(({ name }) => name === 'limit');
  return isList ? parameters.filter(({ name }) => name !== 'cursor' && name !== 'limit') : parameters;
}

export const nameOf = ({ method, path }: Endpoint): string => `\`${method} ${path}\``;

function parameterTable(endpoint: Endpoint): string | null {
  const rows = queryParameters(endpoint).map(({ name, description = '', schema, required }) =>
    fieldRow(name, { ...schema, description }, required),
  );
  return rows.length === 0 ? null : ['| parameter | |', '|---|---|', ...rows].join('\n');
}

function fieldTable({ operation }: Endpoint): string | null {
  const schema = operation.requestBody?.content['application/json']?.schema;
  const object = schema && objectOf(schema);
  if (!object?.properties) return null;
  const rows = Object.entries(object.properties).map(([name, field]) =>
    fieldRow(name, field as JsonSchema, object.required?.includes(name) ?? false),
  );
  return rows.length === 0 ? null : ['| field | |', '|---|---|', ...rows].join('\n');
}

/** The first object of a body: one row of several, or the settings of a queue. */
function objectOf(schema: JsonSchema): JsonSchema | undefined {
  if (schema.properties) return schema;
  const [first] = (schema.anyOf ?? []) as JsonSchema[];
  return first && objectOf(first);
}

function fieldRow(name: string, schema: JsonSchema, isRequired: boolean): string {
  const facts = [isRequired && 'required', ...factsOf(schema)].filter(Boolean).join('; ');
  const text = [facts && `${facts}.`, schema.description && escapeBars(schema.description)].filter(Boolean);
  return `| \`${name}\` | ${text.join(' ')} |`;
}

/** Says what the schema allows, unless its description's digits say it. */
function factsOf(schema: JsonSchema): string[] {
  const isNullable = schema.anyOf?.some((one) => (one as JsonSchema).type === 'null') ?? false;
  const [only = schema] = (schema.anyOf ?? []).filter(
    (one) => (one as JsonSchema).type !== 'null',
  ) as JsonSchema[];
  const known = isNullable ? only : schema;
  const facts: string[] = [];
  if (known.enum) facts.push(known.enum.map((value) => `\`${value}\``).join(', '));
  if (known.format === 'date-time') facts.push('an instant');
  if (known.format === 'uuid') facts.push('a UUID');
  if (known.format === 'date') facts.push('a day');
  if (known.type === 'boolean') facts.push('`true` or `false`');
  facts.push(...rangeOf(known, schema.description ?? ''));
  if (schema.default !== undefined && schema.default !== null && !/default/i.test(schema.description ?? ''))
    facts.push(`default \`${JSON.stringify(schema.default)}\``);
  if (isNullable && !/null/i.test(schema.description ?? '')) facts.push('or null');
  return facts;
}

function rangeOf({ type, minimum, maximum, maxLength }: JsonSchema, description: string): string[] {
  if (/\d/.test(description)) return [];
  const format = (value: number) => value.toLocaleString('en-US');
  if (type === 'string' && maxLength !== undefined) return [`up to ${format(maxLength)} characters`];
  if (type !== 'integer' && type !== 'number') return [];
  if (minimum === undefined || maximum === undefined) return [];
  return maximum >= 2_147_483_647
    ? [`${format(minimum)} or more`]
    : [`${format(minimum)} to ${format(maximum)}`];
}

function example({ method, path, operation }: Endpoint): string | null {
  const url = `https://your.app${path.replace(':queue', 'dm_queue')}`;
  const header = '-H "Authorization: Bearer $API_KEY"';
  const body = operation.requestBody?.content['application/json']?.example;
  if (body) {
    const json = spaced(body);
    return `\`\`\`sh\ncurl -X ${method} ${url} ${header} -H 'Content-Type: application/json' \\\n  -d '${json}'\n\`\`\``;
  }
  const query = queryParameters({ method, path, operation }).filter((one) => one.example !== undefined);
  if (query.length === 0) return null;
  const text = query.map((one) => `${one.name}=${encodeURIComponent(String(one.example))}`).join('&');
  return `\`\`\`sh\ncurl ${header} '${url}?${text}'\n\`\`\``;
}

/** JSON in one line, with spaces as people write it. */
function spaced(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(spaced).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  return `{ ${Object.entries(value)
    .map(([key, field]) => `${JSON.stringify(key)}: ${spaced(field)}`)
    .join(', ')} }`;
}

function returned({ operation }: Endpoint): string {
  const status = Object.keys(operation.responses).find((one) => Number(one) < 400) ?? '';
  const [type, content] = Object.entries(operation.responses[status]?.content ?? {})[0] ?? [];
  if (!content) return status;
  return type === 'application/json' ? `\`${shapeOf(content.schema)}\`` : 'text';
}

function shapeOf(schema: JsonSchema): string {
  if (schema.anyOf) {
    const [first] = schema.anyOf as JsonSchema[];
    return first ? shapeOf(first) : '…';
  }
  const fields = Object.entries(schema.properties ?? {}) as [string, JsonSchema][];
  const keys = fields.map(([key]) => key);
  if (keys.length === 0) return '{ … }';
  const named = fields.slice(0, maxKeys).map(([key, field]) => {
    const items = field.items as JsonSchema | undefined;
    return keys.length <= 2 && items?.properties ? `${key}: [${shapeOf(items)}]` : key;
  });
  return `{ ${[...named, ...(keys.length > maxKeys ? ['…'] : [])].join(', ')} }`;
}

const escapeBars = (text: string): string => text.replaceAll('|', '\\|');
