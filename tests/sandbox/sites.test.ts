import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Sandbox, startSandbox } from '../../sandbox/sandbox.ts';
import { Sites } from '../../sandbox/sites.ts';

/** Returns the statuses of a site at these seconds after its first request. */
function statuses(path: string, seconds: number[]): (number | null)[] {
  let nowMs = Date.UTC(2030, 0, 1);
  const startMs = nowMs;
  const sites = new Sites(() => nowMs);
  sites.behaviourOf(path);
  return seconds.map((second) => {
    nowMs = startMs + second * 1_000;
    const behaviour = sites.behaviourOf(path);
    return behaviour?.kind === 'response' ? behaviour.response.status : null;
  });
}

const waitOf = (path: string) => {
  const behaviour = new Sites(() => 0).behaviourOf(path);
  return behaviour?.kind === 'response' ? behaviour.waitMs : Number.NaN;
};

describe('a site', () => {
  it('that flaps is up for 20 s, then alternates between down and up every 40 s', () => {
    const at = [0, 19, 20, 59, 60, 99, 100, 139, 140];
    expect(statuses('/sites/flapping/shop', at)).toEqual([200, 200, 503, 503, 200, 200, 503, 503, 200]);
  });

  it('that recovers is down for the first minute after its first request, and then up', () => {
    expect(statuses('/sites/recovering/shop', [0, 59, 60, 3_600])).toEqual([503, 503, 200, 200]);
  });

  it('counts time from its own first request', () => {
    let nowMs = 0;
    const sites = new Sites(() => nowMs);
    sites.behaviourOf('/sites/recovering/one');
    nowMs = 61_000;
    expect(sites.behaviourOf('/sites/recovering/one')).toMatchObject({ response: { status: 200 } });
    expect(sites.behaviourOf('/sites/recovering/other')).toMatchObject({ response: { status: 503 } });
  });

  it('takes 20 to 150 ms if it is ok and 1.2 to 2.5 s if it is slow, the same each time', () => {
    for (const name of ['a', 'b', 'c', 'd', 'e']) {
      expect(waitOf(`/sites/ok/${name}`)).toBeGreaterThanOrEqual(20);
      expect(waitOf(`/sites/ok/${name}`)).toBeLessThanOrEqual(150);
      expect(waitOf(`/sites/slow/${name}`)).toBeGreaterThanOrEqual(1_200);
      expect(waitOf(`/sites/slow/${name}`)).toBeLessThanOrEqual(2_500);
    }
    expect(waitOf('/sites/slow/a')).toBe(waitOf('/sites/slow/a'));
    expect(waitOf('/sites/slow/a')).not.toBe(waitOf('/sites/slow/b'));
  });
});

describe('a site over HTTP', () => {
  let sandbox: Sandbox;
  beforeEach(async () => {
    sandbox = await startSandbox();
  });
  afterEach(() => sandbox.close());
  const request = (path: string, init?: RequestInit) => fetch(sandbox.url + path, init);

  it.each([
    ['ok', 200, 'all is well'],
    ['closed', 200, 'closed for maintenance'],
    ['down', 503, 'the database is away'],
    ['gone', 404, 'nothing here'],
    ['moved', 200, 'all is well'],
    ['unheard-of', 404, 'no such site'],
  ])('%s responds with %d: %s', async (behaviour, status, text) => {
    const response = await request(`/sites/${behaviour}/shop`);
    expect([response.status, await response.text()]).toEqual([status, expect.stringContaining(text)]);
  });

  it('ok responds to HEAD and POST too', async () => {
    expect((await request('/sites/ok/shop', { method: 'HEAD' })).status).toBe(200);
    expect((await request('/sites/ok/shop', { method: 'POST', body: 'order' })).status).toBe(200);
  });

  it('loop redirects to itself', async () => {
    const response = await request('/sites/loop/shop', { redirect: 'manual' });
    expect([response.status, response.headers.get('location')]).toEqual([302, '/sites/loop/shop']);
  });

  it.each(['silent', 'drip'])(
    '%s does not respond in time and does not block other sites',
    async (behaviour) => {
      const pending = request(`/sites/${behaviour}/shop`, { signal: AbortSignal.timeout(300) });
      await expect(pending).rejects.toMatchObject({ name: 'TimeoutError' });
      expect((await request('/sites/ok/shop')).status).toBe(200);
    },
  );

  it('drip sends one byte in the first second', async () => {
    const socket = connect(Number(new URL(sandbox.url).port), '127.0.0.1');
    socket.write('GET /sites/drip/shop HTTP/1.1\r\nhost: x\r\n\r\n');
    const [first] = await new Promise<Buffer[]>((resolve) =>
      socket.once('data', (chunk) => resolve([chunk])),
    );
    expect(String(first)).toBe('H');
    socket.destroy();
  });
});
