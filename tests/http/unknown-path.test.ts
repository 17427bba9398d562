import { expect, it } from 'vitest';
import { DELETE, GET, PATCH, POST, PUT } from '../../app/api/[...path]/route.ts';
import { apiRequest } from '../support/api-server.ts';

it.each(Object.entries({ DELETE, GET, PATCH, POST, PUT }))(
  '%s of a path that the API does not have is answered as any other error is',
  async (method, answer) => {
    const response = answer(apiRequest(method, '/api/dmz?a=1'));
    expect(response.status).toBe(404);
    const message = expect.stringMatching(/^the API has no path \/api\/dmz: /);
    expect(await response.json()).toEqual({ error: { kind: 'not_found', message } });
  },
);
