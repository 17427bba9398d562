import type { LookupAddress } from 'node:dns';
import { describe, expect, it } from 'vitest';
import { addressGuard, isPublicAddress, PRIVATE_ADDRESS } from '../../lib/net/public-address.ts';

const list = (text: string) => text.trim().split(/\s+/);

// Private networks and the public addresses beside them. tests/net/checks/hostile-urls.test.ts tries them in URLs.
it.each(
  list(`
    0.0.0.0 0.255.255.255 10.0.0.0 10.255.255.255 100.64.0.0 100.127.255.255 127.0.0.1 169.254.169.254 172.16.0.0 172.31.255.255
    192.0.0.170 192.0.2.1 192.31.196.1 192.52.193.1 192.88.99.1 192.168.0.1 192.175.48.1 198.18.0.1 198.19.255.255 198.51.100.1
    203.0.113.1 224.0.0.1 240.0.0.1 255.255.255.255 168.63.129.16
    :: ::1 ::127.0.0.1 ::ffff:8.8.8.8 64:ff9b:: 64:ff9b::10.0.0.1 64:ff9b:1::1 100::1 1fff::1 2001::1 2001:db8::1 2002:7f00:1::
    2620:4f:8000::1 3fff::1 4000::1 fc00::1 fe80::1 fe80::1%lo fec0::1 ff02::1
    localhost 8.8.8 8.8.8.8.8
  `),
)('%s is not a public address', (address) => {
  expect(isPublicAddress(address)).toBe(false);
});

it.each(
  list(`
    1.0.0.0 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 172.15.255.255 172.32.0.0 168.63.129.17 192.0.1.0 223.255.255.255
    2000::1 2606:4700::1111 2a00:1450::1 64:ff9b::8.8.8.8
  `),
)('%s is a public address', (address) => {
  expect(isPublicAddress(address)).toBe(true);
});

describe('the lookup of a name', () => {
  const lookUp = (address: string, options: object, allowed: string[] = []) =>
    new Promise<string | LookupAddress[]>((resolve, reject) => {
      const url = new URL(address);
      addressGuard(allowed).lookupFor(url)(url.hostname, options, (error, found) =>
        error ? reject(error) : resolve(found),
      );
    });

  it.each([
    ['http://localhost/', { all: true }, []],
    ['http://localhost/', {}, []],
    ['http://localhost/', { family: 4 }, []],
    ['http://localhost:99/', {}, ['localhost:4321']],
  ])('of this machine, %s with %j and the exceptions %j, is refused', async (url, options, allowed) => {
    await expect(lookUp(url, options, allowed)).rejects.toMatchObject({ code: PRIVATE_ADDRESS });
  });

  it('of an exception or a public address returns the address, in either form', async () => {
    expect(await lookUp('http://localhost:4321/', { family: 4 }, ['localhost:4321'])).toBe('127.0.0.1');
    expect(await lookUp('http://8.8.8.8/', {})).toBe('8.8.8.8');
    expect(await lookUp('http://8.8.8.8/', { all: true })).toEqual([{ address: '8.8.8.8', family: 4 }]);
  });
});
