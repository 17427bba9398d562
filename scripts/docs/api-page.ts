import type { OpenApiDocument } from '../../lib/api/openapi/document.ts';
import {
  type Endpoint,
  endpointDetails,
  endpointTable,
  nameOf,
  queryParameters,
} from './endpoint-markdown.ts';

/**
 * Fills the template of `docs/api.md` with the API's endpoints. A line `{{accounts}}` stands for all endpoints whose path begins with that part, and
 * `{{GET /queues}}` for one. Lines that follow each other share one table. An endpoint that has a line of its own, alone, is placed with its fields
 * only, because a table elsewhere has it. Throws an error if the template leaves an endpoint out.
 */
export function apiPage(template: string, document: OpenApiDocument): string {
  const endpoints = endpointsOf(document);
  const blocks = [...template.matchAll(/^\{\{.+\}\}(?:\n\{\{.+\}\})*$/gm)].map(([text]) => text);
  const linesOf = (block: string) => block.split('\n').map((line) => line.slice(2, -2));
  const single = new Set(
    blocks
      .map(linesOf)
      .filter((lines) => lines.length === 1 && lines[0]?.includes(' '))
      .flat(),
  );
  const listed = new Set(
    blocks
      .map(linesOf)
      .filter((lines) => lines.length > 1)
      .flat()
      .filter((line) => line.includes(' ')),
  );
  const placed = new Set<Endpoint>();

  const groupOf = (line: string) =>
    endpoints.filter((one) => one.operation.tags[0] === line && !listed.has(keyOf(one)));
  const byName = (line: string) => endpoints.filter((one) => keyOf(one) === line);

  function render(block: string): string {
    const lines = linesOf(block);
    const found = lines.map((line) => [line, line.includes(' ') ? byName(line) : groupOf(line)] as const);
    const missing = found.find(([, matches]) => matches.length === 0);
    if (missing) throw new Error(`the template names ${missing[0]}, and the API has no such endpoint`);
    const shown = found.flatMap(([, matches]) => matches);
    const [only] = shown;
    if (lines.length === 1 && only && single.has(lines[0] ?? ''))
      return endpointDetails(only, { isNamed: false }) ?? '';
    for (const one of shown) placed.add(one);
    const details = shown.filter((one) => !single.has(keyOf(one))).map(detailsOf);
    return [endpointTable(shown), ...details.filter((text) => text !== null)].join('\n\n');
  }

  /** The filters of rows are listed once. */
  function detailsOf(endpoint: Endpoint): string | null {
    const parameters = JSON.stringify(queryParameters(endpoint));
    const isTwin = [...single].some((line) =>
      byName(line).some((one) => one !== endpoint && JSON.stringify(queryParameters(one)) === parameters),
    );
    return isTwin && queryParameters(endpoint).length > 0 ? null : endpointDetails(endpoint);
  }

  const page = template.replace(/^\{\{.+\}\}(?:\n\{\{.+\}\})*$/gm, render);
  const left = endpoints.filter((one) => !placed.has(one) && one.operation.tags[0] !== 'cron');
  if (left.length > 0) throw new Error(`the template leaves out ${left.map(nameOf).join(', ')}`);
  const unnamed = endpoints.filter(
    (one) => one.operation.tags[0] === 'cron' && !page.includes(`\`${one.path}\``),
  );
  if (unnamed.length > 0) throw new Error(`the page does not name ${unnamed.map(nameOf).join(', ')}`);
  return page;
}

function endpointsOf({ paths }: OpenApiDocument): Endpoint[] {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      method: method.toUpperCase(),
      path: `/api${path.replace(/\{(\w+)\}/g, ':$1')}`,
      operation,
    })),
  );
}

const keyOf = ({ method, path }: Endpoint): string => `${method} ${path.slice('/api'.length)}`;
