import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { canaries } from '../../../lib/net/checks/canaries.ts';
import { dnsResolver } from '../../../lib/net/dns-resolver.ts';
import { sites } from '../../support/sites.ts';
import { loopback } from '../loopback.ts';

const { serve, closeAll } = sites();
const raw = loopback();
afterEach(async () => {
  await closeAll();
  await raw.closeAll();
});

const never = () => new AbortController().signal;
const over = (...urls: string[]) => overIn(300, ...urls);
/** For a test of what is not waited for: a round that is longer than the test may take. */
const overForEver = (...urls: string[]) => overIn(600_000, ...urls);
const overIn = (round: number, ...urls: string[]) => {
  const made = canaries(urls, dnsResolver(['127.0.0.1:1']), { round, between: 60, broken: 400 });
  if (!made) throw new Error('there are none');
  return made;
};
/** Of a port where nobody listens. */
async function nobody(): Promise<string> {
  const gone = loopback();
  const origin = await gone.serve(() => {});
  await gone.closeAll();
  return origin;
}

it('are null where none are named', () => {
  expect(canaries([], dnsResolver())).toBeNull();
});

describe('the network is ok where a canary', () => {
  it.each([200, 404, 302, 503])('answers %d', async (status) => {
    const { host } = await serve((_request, response) => response.writeHead(status, { location: '/' }).end());
    expect(await over(`http://${host}/`).probe(never())).toBe('ok');
  });

  it('takes a connection over TCP', async () => {
    const origin = await raw.serve(() => {});
    expect(await over(origin.replace('http', 'tcp')).probe(never())).toBe('ok');
  });

  it('agrees on TLS, with any certificate', async () => {
    const { host } = await serve((_request, response) => response.end(), 'expired');
    expect(await over(`https://${host}/`).probe(never())).toBe('ok');
  });

  it('answers, and the others neither count nor are waited for', async () => {
    const { host } = await serve((_request, response) => response.end());
    const silent = await raw.answering(() => {});
    expect(await overForEver(await nobody(), silent, `http://${host}/`).probe(never())).toBe('ok');
  });
});

describe('the network is broken where', () => {
  it('no canary answers in time, which holds for a while', async () => {
    let silent = true;
    let asks = 0;
    const origin = await raw.answering((socket) => {
      asks += 1;
      if (!silent) socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
    });
    const asked = over(origin, await nobody(), 'http://nowhere.test/');
    const startedAt = performance.now();
    expect(await asked.probe(never())).toBe('broken');
    expect(performance.now() - startedAt).toBeGreaterThan(280);
    silent = false;
    const before = asks;
    expect(await asked.probe(never())).toBe('broken');
    expect(asks).toBe(before);
    await sleep(420);
    expect(await asked.probe(never())).toBe('ok');
  });

  it('a canary speaks, but nothing that is an answer', async () => {
    const origin = await raw.answering((socket) => socket.end('nonsense\r\n\r\n'));
    expect(await over(origin).probe(never())).toBe('broken');
  });
});

describe('a round', () => {
  it('is shared by all failures that were there before it', async () => {
    const site = await serve((_request, response) => response.end());
    const asked = over(`http://${site.host}/`);
    await asked.probe(never());
    const all = await Promise.all(Array.from({ length: 200 }, () => asked.probe(never())));
    expect(new Set(all)).toEqual(new Set(['ok']));
    expect(site.asked).toHaveLength(2);
  });

  it('that began before a failure does not answer for it, but one that began after it answers for those before', async () => {
    let times = 0;
    const origin = await raw.answering((socket) => {
      times += 1;
      // Only the second is answered.
      if (times === 2) socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
    });
    const asked = overForEver(origin);
    const first = asked.probe(never());
    await sleep(20);
    const second = asked.probe(never());
    expect(await Promise.all([first, second])).toEqual(['ok', 'ok']);
    expect(times).toBe(2);
    // Nobody ever answers the first round, which says nothing any more.
    expect(await asked.probe(AbortSignal.timeout(50))).toBeNull();
  });

  it('is not waited for beyond the signal', async () => {
    const origin = await raw.answering(() => {});
    expect(await overForEver(origin).probe(AbortSignal.timeout(50))).toBeNull();
    expect(await overForEver(origin).probe(AbortSignal.abort())).toBeNull();
  });
});
