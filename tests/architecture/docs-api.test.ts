import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { allEndpoints } from '../../lib/api/all-endpoints.ts';
import { documentOf } from '../../lib/api/openapi/endpoint.ts';
import { apiPage } from '../../scripts/docs/api-page.ts';

const template = readFileSync('scripts/docs/api.template.md', 'utf8');
const document = await documentOf(allEndpoints);

it('docs/api.md is what `npm run docs:api` writes', () => {
  expect(readFileSync('docs/api.md', 'utf8')).toBe(apiPage(template, document));
});

it('docs/api.md has every endpoint: a template that leaves one out is refused', () => {
  expect(() => apiPage(template.replace('{{refusals}}\n', ''), document)).toThrow('POST /api/refusals/end');
  expect(() => apiPage(`${template}\n\n{{nothing}}\n`, document)).toThrow('nothing');
});
