import { expect, it } from 'vitest';
import { callEndpoint, fetchFault } from '../../lib/cron/call-endpoint.ts';

it('callEndpoint() keeps a secret that no header can carry out of the error text', async () => {
  const called = callEndpoint(
    new URL('http://127.0.0.1:9/api/cron/jobs'),
    { scheduler: 'worker' },
    { secret: 's3cret\nkey', timeoutMs: 1_000 },
  );
  const error = await called.catch((error: unknown) => error);
  expect(fetchFault(error)).toBe(
    'the secret contains a character that no header can carry, for example a line break. Set another secret',
  );
});
