import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { canaries } from '../../../lib/net/checks/canaries.ts';
import { dnsResolver } from '../../../lib/net/dns-resolver.ts';
import { httpAnswer, loopback } from '../loopback.ts';
import { respond, siteServers } from './site-servers.ts';

const { serve, raw } = siteServers();

/** A new signal that never fires. So many listen to it that one for all would get a warning. */
const never = () => new AbortController().signal;

const over = (...urls: string[]) => overIn(300, ...urls);
/** Makes the rounds longer than a test may take, to show that nothing waits for their end. */
const overForever = (...urls: string[]) => overIn(600_000, ...urls);
const overIn = (round: number, ...urls: string[]) => {
  const made = canaries(urls, dnsResolver(['127.0.0.1:1']), { round, between: 60, broken: 400 });
  if (!made) throw new Error('there are no canaries');
  return made;
};
/** Returns a URL at which no server listens. */
async function deadUrl(): Promise<string> {
  const gone = loopback();
  const origin = await gone.serve(() => {});
  await gone.closeAll();
  return origin;
}

it('canaries() returns null without URLs', () => {
  expect(canaries([], dnsResolver())).toBeNull();
});

describe('the network is ok if a canary', () => {
  it.each([200, 404, 302, 503])('responds with %d', async (status) => {
    const { host } = await serve(respond(status, { location: '/' }));
    expect(await over(`http://${host}/`).probe(never())).toBe('ok');
  });

  it('accepts a TCP connection, or completes a TLS handshake with any certificate', async () => {
    const origin = await raw.serve(() => {});
    expect(await over(origin.replace('http', 'tcp')).probe(never())).toBe('ok');
    const { host } = await serve(respond(200), 'expired');
    expect(await over(`https://${host}/`).probe(never())).toBe('ok');
  });

  it('responds, and the others are neither counted nor awaited', async () => {
    const { host } = await serve(respond(200));
    const silent = await raw.answering(() => {});
    expect(await overForever(await deadUrl(), silent, `http://${host}/`).probe(never())).toBe('ok');
  });
});

describe('the network is broken if', () => {
  it('no canary responds in time, and is not probed again for a while', async () => {
    let silent = true;
    let requests = 0;
    const origin = await raw.answering((socket) => {
      requests += 1;
      if (!silent) socket.end(httpAnswer(200, ''));
    });
    const network = over(origin, await deadUrl(), 'http://nowhere.test/');
    const startedAt = performance.now();
    expect(await network.probe(never())).toBe('broken');
    expect(performance.now() - startedAt).toBeGreaterThan(280);
    silent = false;
    const before = requests;
    expect(await network.probe(never())).toBe('broken');
    expect(requests).toBe(before);
    await sleep(420);
    expect(await network.probe(never())).toBe('ok');
  });

  it('the canary sends something that is not a response', async () => {
    const origin = await raw.answering((socket) => socket.end('nonsense\r\n\r\n'));
    expect(await over(origin).probe(never())).toBe('broken');
  });
});

describe('a round of probes', () => {
  it('is shared by all failures before it', async () => {
    const site = await serve(respond(200));
    const network = over(`http://${site.host}/`);
    await network.probe(never());
    const all = await Promise.all(Array.from({ length: 200 }, () => network.probe(never())));
    expect(new Set(all)).toEqual(new Set(['ok']));
    expect(site.requests).toHaveLength(2);
  });

  it('that began before a failure does not count for it, and one that began after it counts for all failures before', async () => {
    let requests = 0;
    const origin = await raw.answering((socket) => {
      requests += 1;
      // Only the second request gets a response.
      if (requests === 2) socket.end(httpAnswer(200, ''));
    });
    const network = overForever(origin);
    const first = network.probe(never());
    await sleep(20);
    const second = network.probe(never());
    expect(await Promise.all([first, second])).toEqual(['ok', 'ok']);
    expect(requests).toBe(2);
    // The first round never gets a response and no longer counts.
    expect(await network.probe(AbortSignal.timeout(50))).toBeNull();
  });

  it('is not awaited beyond the signal', async () => {
    const origin = await raw.answering(() => {});
    expect(await overForever(origin).probe(AbortSignal.timeout(50))).toBeNull();
    expect(await overForever(origin).probe(AbortSignal.abort())).toBeNull();
  });
});
