import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { Sites } from '../../lib/sandbox/sites.ts';
import { sandboxBench } from './sandbox-bench.ts';

/** Sites on a clock that the test sets. */
function sitesAt() {
  let nowMs = Date.UTC(2030, 0, 1);
  const startMs = nowMs;
  const sites = new Sites(() => nowMs);
  return (path: string, second = 0) => {
    nowMs = startMs + second * 1_000;
    const behaviour = sites.behaviourOf(path);
    return behaviour?.kind === 'response' ? behaviour : null;
  };
}

describe('a site', () => {
  it.each([
    // It is up for 20 s, then alternates between down and up every 40 s.
    ['flapping', [0, 19, 20, 59, 60, 99, 100, 139, 140], [200, 200, 503, 503, 200, 200, 503, 503, 200]],
    // It is down for the first minute after its first request.
    ['recovering', [0, 59, 60, 3_600], [503, 503, 200, 200]],
  ])('that is %s has at the seconds %j the statuses %j', (kind, seconds, statuses) => {
    const at = sitesAt();
    expect(seconds.map((second) => at(`/sites/${kind}/shop`, second)?.response.status)).toEqual(statuses);
  });

  it('counts time from its own first request', () => {
    const at = sitesAt();
    at('/sites/recovering/one');
    expect(at('/sites/recovering/one', 61)).toMatchObject({ response: { status: 200 } });
    expect(at('/sites/recovering/other', 61)).toMatchObject({ response: { status: 503 } });
  });

  it('takes 20 to 150 ms if it is ok and 1.2 to 2.5 s if it is slow, the same each time', () => {
    const waitOf = (path: string) => sitesAt()(path)?.waitMs ?? Number.NaN;
    for (const name of ['a', 'b', 'c', 'd', 'e']) {
      const [ok, slow] = [waitOf(`/sites/ok/${name}`), waitOf(`/sites/slow/${name}`)];
      expect([ok >= 20, ok <= 150, slow >= 1_200, slow <= 2_500], `${ok} ${slow}`).not.toContain(false);
    }
    expect(waitOf('/sites/slow/a')).toBe(waitOf('/sites/slow/a'));
    expect(waitOf('/sites/slow/a')).not.toBe(waitOf('/sites/slow/b'));
  });
});

describe('a site over HTTP', () => {
  const { start } = sandboxBench();
  const request = async (path: string, init?: RequestInit) =>
    fetch(`${(await start()).url}/sites/${path}`, init);

  it.each([
    ['ok', 200, 'all is well'],
    ['closed', 200, 'closed for maintenance'],
    ['down', 503, 'the database is away'],
    ['gone', 404, 'nothing here'],
    ['moved', 200, 'all is well'],
    ['unheard-of', 404, 'no such site'],
  ])('%s responds with %d: %s', async (behaviour, status, text) => {
    const response = await request(`${behaviour}/shop`);
    expect([response.status, await response.text()]).toEqual([status, expect.stringContaining(text)]);
  });

  it('ok responds to HEAD and POST too', async () => {
    expect((await request('ok/shop', { method: 'HEAD' })).status).toBe(200);
    expect((await request('ok/shop', { method: 'POST', body: 'order' })).status).toBe(200);
  });

  it('loop redirects to itself', async () => {
    const response = await request('loop/shop', { redirect: 'manual' });
    expect([response.status, response.headers.get('location')]).toEqual([302, '/sites/loop/shop']);
  });

  it.each(['silent', 'drip'])(
    '%s does not respond in time and does not block other sites',
    async (behaviour) => {
      const { url } = await start();
      const pending = fetch(`${url}/sites/${behaviour}/shop`, { signal: AbortSignal.timeout(300) });
      await expect(pending).rejects.toMatchObject({ name: 'TimeoutError' });
      expect((await fetch(`${url}/sites/ok/shop`)).status).toBe(200);
    },
  );

  it('drip sends one byte in the first second', async () => {
    const socket = connect(Number(new URL((await start()).url).port), '127.0.0.1');
    socket.write('GET /sites/drip/shop HTTP/1.1\r\nhost: x\r\n\r\n');
    expect(String(await once(socket, 'data'))).toBe('H');
    socket.destroy();
  });
});
