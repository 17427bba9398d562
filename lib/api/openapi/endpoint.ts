import { z } from 'zod';
import { cronEndpoints } from '../../cron/handlers/find-endpoint.ts';
import { describeEndpoint } from '../../http/describe-endpoint.ts';
import { respond } from '../../http/error-response.ts';
import { noQuery, readQuery } from '../../http/query.ts';
import { registeredApp } from '../../queues/registered-app.ts';
import type { Endpoints } from '../endpoints.ts';
import { apiDocument, type OpenApiDocument } from './document.ts';

/** The document of the process's app, because everybody may ask for it and it takes 50 ms. A hot reload registers another app. */
let latest: { app: object; document: Promise<OpenApiDocument> } | null = null;

/** Returns the document of the API and of the cron paths of the process's app. */
export function documentOf(allEndpoints: () => Promise<Endpoints>): Promise<OpenApiDocument> {
  const app = registeredApp();
  if (latest?.app !== app) {
    const document = allEndpoints().then((endpoints) => apiDocument(endpoints, cronEndpoints(app.queues)));
    latest = { app, document };
  }
  return latest.document;
}

/** The endpoint of the document. It needs no secret, because it holds no data. */
export function openApiEndpoint(allEndpoints: () => Promise<Endpoints>) {
  const read = (request: Request) =>
    respond(async () => {
      const url = new URL(request.url);
      readQuery(url, noQuery);
      const servers = [{ url: url.pathname.replace(/\/openapi\.json$/, '') }];
      return { ...withoutLinks(await documentOf(allEndpoints)), servers };
    });
  const endpoints = {
    'GET /openapi.json': describeEndpoint(read, {
      summary: 'Returns the API’s OpenAPI 3.1 document, with the cron paths of this app’s queues.',
      access: 'none',
      response: z.record(z.string(), z.unknown()),
      errors: [400],
    }),
  } satisfies Endpoints;
  return { endpoints };
}

/** Removes links, which lead to other pages of the documentation. */
function withoutLinks(document: OpenApiDocument): OpenApiDocument {
  return JSON.parse(JSON.stringify(document).replace(/\[([^\]"]+)\]\([\w.#-]+\)/g, '$1'));
}
