import '../punctual.ts';
import { readFileSync, writeFileSync } from 'node:fs';
import { allEndpoints } from '../lib/api/all-endpoints.ts';
import { documentOf } from '../lib/api/openapi/endpoint.ts';
import { apiPage } from './docs/api-page.ts';

// Writes docs/api.md from the API's document and scripts/docs/api.template.md: `npm run docs:api`.
const template = readFileSync('scripts/docs/api.template.md', 'utf8');
writeFileSync('docs/api.md', apiPage(template, await documentOf(allEndpoints)));
