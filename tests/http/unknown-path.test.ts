import { expect, it } from 'vitest';
import { DELETE, GET, PATCH, POST, PUT } from '../../app/api/[...path]/route.ts';
import { apiRequest } from '../support/api-server.ts';

it.each(Object.entries({ DELETE, GET, PATCH, POST, PUT }))(
  '%s to a path that the API does not have answers 404 as a JSON error',
  async (method, handler) => {
    const response = handler(apiRequest(method, '/api/dmz?a=1'));
    expect(response.status).toBe(404);
    const message = expect.stringMatching(/^the API has no path \/api\/dmz: /);
    expect(await response.json()).toEqual({ error: { kind: 'not_found', message } });
  },
);
