import type { LookupAddress } from 'node:dns';
import { describe, expect, it } from 'vitest';
import { addressGuard, isPublicAddress, PRIVATE_ADDRESS } from '../../lib/net/public-address.ts';

describe('a URL from a user', () => {
  it.each([
    'http://127.0.0.1/',
    'http://127.1.2.3/',
    'http://127.1/',
    'http://127.0.0.1./',
    'http://2130706433/',
    'http://0x7f000001/',
    'http://0x7f.1/',
    'http://0177.0.0.1/',
    'http://017700000001/',
    'http://１２７.０.０.１/',
    'http://0/',
    'http://0.0.0.0/',
    'http://10.0.0.1/',
    'http://10.255.255.255:8080/x',
    'http://100.64.0.1/',
    'http://100.100.100.200/',
    'http://169.254.169.254/latest/meta-data/',
    'http://2852039166/',
    'http://168.63.129.16/',
    'http://172.16.0.1/',
    'http://172.31.255.255/',
    'http://192.168.1.1/',
    'http://192.0.0.170/',
    'http://198.18.0.1/',
    'http://224.0.0.1/',
    'http://240.0.0.1/',
    'http://255.255.255.255/',
    'http://[::1]/',
    'http://[::]/',
    'http://[0:0:0:0:0:0:0:1]/',
    'http://[::ffff:127.0.0.1]/',
    'http://[::ffff:7f00:1]/',
    'http://[::ffff:8.8.8.8]/',
    'http://[::127.0.0.1]/',
    'http://[64:ff9b::7f00:1]/',
    'http://[64:ff9b::10.0.0.1]/',
    'http://[64:ff9b::]/',
    'http://localhost/',
    'http://LOCALHOST./',
    'http://a.localhost:8080/',
    'http://[64:ff9b:1::1]/',
    'http://[fe80::1]/',
    'http://[fec0::1]/',
    'http://[fc00::1]/',
    'http://[fd00:ec2::254]/',
    'http://[ff02::1]/',
    'http://[100::1]/',
    'http://[2001::1]/',
    'http://[2001:db8::1]/',
    'http://[2002:7f00:1::]/',
    'http://[3fff::1]/',
    'https://user:password@example.com/',
    'https://user@example.com/',
    'ftp://example.com/',
    'file:///etc/passwd',
    'data:image/png;base64,AAAA',
  ])('%s is refused', (address) => {
    expect(addressGuard().faultOf(new URL(address))).toMatch(/\w/);
  });

  it.each([
    'https://example.com/a.png',
    'http://example.com:8080/',
    'http://8.8.8.8/',
    'http://172.15.255.255/',
    'http://172.32.0.1/',
    'http://100.128.0.1/',
    'http://[2606:4700::1111]/',
    'http://[2a00:1450::1]/',
    'http://[64:ff9b::8.8.8.8]/',
    // A name is judged by the addresses that it resolves to.
    'http://metadata.google.internal/',
  ])('%s is not refused before its name is resolved', (address) => {
    expect(addressGuard().faultOf(new URL(address))).toBeNull();
  });

  it.each([
    ['127.0.0.1:4321', 'http://127.0.0.1:4321/x', true],
    ['127.0.0.1:4321', 'http://127.0.0.1:4322/x', false],
    ['127.0.0.1:4321', 'http://127.0.0.1/x', false],
    ['127.0.0.1:80', 'http://127.0.0.1/x', true],
    ['127.0.0.1:443', 'https://127.0.0.1/x', true],
    ['127.0.0.1', 'http://127.0.0.1:99/x', true],
    ['[::1]:4321', 'http://[::1]:4321/', true],
    ['Media.Internal', 'http://media.internal/', true],
    ['127.0.0.1', 'http://a:b@127.0.0.1/', false],
    ['127.0.0.1', 'ftp://127.0.0.1/', false],
  ])('with the exception %s, %s is allowed: %s', (exception, address, allowed) => {
    expect(addressGuard([exception]).faultOf(new URL(address)) === null).toBe(allowed);
  });
});

describe('a name', () => {
  const lookUp = (address: string, options: object, allowed: string[] = []) =>
    new Promise<string | LookupAddress[]>((resolve, reject) => {
      const url = new URL(address);
      addressGuard(allowed).lookupFor(url)(url.hostname, options, (error, found) =>
        error ? reject(error) : resolve(found),
      );
    });

  it.each([[{ all: true }], [{}], [{ family: 4 }]])(
    'of this machine is not resolved with the options %j',
    async (options) => {
      await expect(lookUp('http://localhost/', options)).rejects.toMatchObject({ code: PRIVATE_ADDRESS });
    },
  );

  it('of this machine is resolved if it is an exception', async () => {
    expect(await lookUp('http://localhost:4321/', { family: 4 }, ['localhost:4321'])).toBe('127.0.0.1');
    await expect(lookUp('http://localhost:99/', {}, ['localhost:4321'])).rejects.toMatchObject({
      code: PRIVATE_ADDRESS,
    });
  });

  it('that is a public address resolves to it, in either form', async () => {
    expect(await lookUp('http://8.8.8.8/', {})).toBe('8.8.8.8');
    expect(await lookUp('http://8.8.8.8/', { all: true })).toEqual([{ address: '8.8.8.8', family: 4 }]);
  });
});

it.each(['', 'localhost', '8.8.8', '8.8.8.8.8', 'fe80::1%lo', '::ffff:8.8.8.8'])(
  '%j is not a public address',
  (text) => {
    expect(isPublicAddress(text)).toBe(false);
  },
);
