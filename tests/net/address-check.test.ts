import { describe, expect, it } from 'vitest';
import { checkWithin } from '../../lib/net/address-check.ts';

const never = () => new Promise<null>(() => {});

describe('the address check of a call', () => {
  it('ends in time, however many names never resolve, and refuses the addresses known by then', async () => {
    const check = checkWithin(150, (url) => (url.includes('private') ? Promise.resolve('private') : never()));
    const hosts = Array.from({ length: 1_000 }, (_, n) => (n === 7 ? 'private' : `silent-${n}`));
    const urls = hosts.map((host) => `https://${host}.test/`);
    const refusals = await Promise.all(urls.map(check));
    expect(refusals.map((refusal, n) => refusal && n).filter(Boolean)).toEqual([7]);
  });

  it('looks up each host and port once, 100 side by side', async () => {
    let [lookups, highest, running] = [0, 0, 0];
    const check = checkWithin(5_000, async () => {
      lookups += 1;
      running += 1;
      highest = Math.max(highest, running);
      await new Promise((done) => setTimeout(done, 5));
      running -= 1;
      return null;
    });
    const urls = Array.from({ length: 600 }, (_, n) => `https://site-${n % 300}.test/${n}`);
    await Promise.all(urls.map(check));
    expect([lookups, highest]).toEqual([300, 100]);
  });

  it('judges each port of a name separately', async () => {
    const check = checkWithin(1_000, async (url) => (url.includes(':81') ? 'refused' : null));
    const urls = ['http://a.test/x', 'http://a.test:81/x'];
    expect(await Promise.all(urls.map(check))).toEqual([null, 'refused']);
  });

  it('rejects if a lookup fails', async () => {
    const check = checkWithin(1_000, () => Promise.reject(new Error('a fault of ours')));
    await expect(check('http://a.test/')).rejects.toThrow('a fault of ours');
  });
});
