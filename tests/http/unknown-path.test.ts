import { expect, it } from 'vitest';
import { DELETE, GET, PATCH, POST, PUT } from '../../app/api/[...path]/route.ts';
import { answerApi } from '../../lib/api/answer-api.ts';
import { apiRequest } from '../support/api-server.ts';

it.each(Object.entries({ DELETE, GET, PATCH, POST, PUT }))(
  '%s to a path that the API does not have answers 404 as a JSON error',
  async (method, handler) => {
    const response = await handler(apiRequest(method, '/api/dmz?a=1'), {
      params: Promise.resolve({ path: ['dmz'] }),
    });
    expect(response.status).toBe(404);
    const message = expect.stringMatching(/^the API has no path \/api\/dmz: /);
    expect(await response.json()).toEqual({ error: { kind: 'not_found', message } });
  },
);

it('a method that a path does not take answers 405 with those that it takes', async () => {
  const answer = (method: string, ...path: string[]) =>
    answerApi(apiRequest(method, `/api/${path.join('/')}`), path, {});
  const response = await answer('PATCH', 'queues', 'posts', 'pause');
  expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST']);
  expect((await response.json()).error.message).toBe('/api/queues/posts/pause takes POST, not PATCH');
  expect((await answer('PUT', 'cron', 'posts')).status).toBe(405);
  // A named part is no parameter: this is not the job "run".
  expect((await answer('GET', 'jobs', 'run')).headers.get('allow')).toBe('POST');
});

it('HEAD is answered as GET is', async () => {
  const health = (method: string) => answerApi(apiRequest(method, '/api/health'), ['health'], {});
  expect((await health('HEAD')).status).toBe((await health('GET')).status);
  expect((await answerApi(apiRequest('HEAD', '/api/cron/posts'), ['cron', 'posts'], {})).status).toBe(
    (await answerApi(apiRequest('GET', '/api/cron/posts'), ['cron', 'posts'], {})).status,
  );
});
