import type { DnsZone } from './dns-server.ts';

const list = (text: string) => text.trim().split(/\s+/);

const names = list(`
  public.test=8.8.8.8,2606:4700::1111 loopback.test=127.0.0.1 loopback6.test=::1 any.test=0.0.0.0 intranet.test=10.1.2.3
  carrier.test=100.64.0.1 unique-local.test=fd00::1 link-local.test=fe80::1 mapped.test=::ffff:7f00:1 nat64.test=64:ff9b::a9fe:a9fe
  6to4.test=2002:7f00:1::1 mixed.test=8.8.8.8,10.0.0.1 mixed6.test=8.8.8.8,::1 127.0.0.1.nip.test=127.0.0.1
  metadata.google.internal=169.254.169.254 instance-data.ec2.internal=169.254.169.254 xn--mnchen-3ya.test=192.168.1.1
`).map((line) => line.split('='));

/** Names of private and of public addresses, for a DNS server of a test. */
export const hostileZone: DnsZone = {
  ...Object.fromEntries(names.map(([name, addresses = '']) => [name, addresses.split(',')])),
  'alias.test': { cname: 'alias2.test' },
  'alias2.test': { cname: 'intranet.test' },
  // Public at the first lookup, and private at every later one.
  'rebound.test': { inTurn: [['8.8.8.8', '2606:4700::1111'], ['127.0.0.1']] },
  // Allowed at the first lookup, and refused at every later one.
  'once.test': { inTurn: [['127.0.0.1'], ['127.0.0.2']] },
  'silent.test': 'silence',
  'broken.test': 'fails',
};

/** URLs of places outside the public internet. */
export const hostileUrls = [
  // Addresses, plain and disguised.
  ...list(`
    http://127.0.0.1/ http://127.0.0.1:8080/admin http://127.1/ http://2130706433/ http://0x7f000001/ http://0x7F.0x0.0x0.0x1/
    http://0177.0.0.1/ http://017700000001/ http://127.0.0.1./ http://１２７.０.０.１/ http://127%2e0%2e0%2e1/ http://①②⑦.0.0.1/
    http://0/ http://0.0.0.0:3000/ http://10.0.0.1/ http://172.16.0.1/ http://192.168.1.1/ http://100.64.0.1/
    http://169.254.169.254/latest/meta-data/ http://0xA9FEA9FE/latest/meta-data/ http://2852039166/ http://168.63.129.16/
    http://100.100.100.200/ http://255.255.255.255/ http://224.0.0.1/ https://192.0.0.192/
  `),
  // IPv6, and IPv4 inside it.
  ...list(`
    http://[::1]/ http://[::]/ http://[0000:0000:0000:0000:0000:0000:0000:0001]/ http://[::ffff:127.0.0.1]/ http://[::ffff:7f00:1]/
    http://[::ffff:0:127.0.0.1]/ http://[::127.0.0.1]/ http://[64:ff9b::127.0.0.1]/ http://[64:ff9b::a9fe:a9fe]/
    http://[64:ff9b:1::a9fe:a9fe]/ http://[2002:7f00:1::]/ http://[2002:a9fe:a9fe::1]/ http://[2001:0:7f00:1::1]/ http://[fe80::1]/
    http://[fd00:ec2::254]/ http://[ff02::1]/ http://[2001:db8::1]/
  `),
  // Names of this machine, and names that resolve to such addresses.
  ...list(`
    http://localhost/ http://localhost:3000/ http://LOCALHOST./ http://app.localhost/ http://%6c%6fcalhost/
    http://loopback.test/ http://LoopBack.Test./ http://loopback6.test/ http://any.test/ https://intranet.test/ http://carrier.test/
    http://unique-local.test/ http://link-local.test/ http://mapped.test/ http://nat64.test/ http://6to4.test/ http://mixed.test/
    http://mixed6.test/ http://alias.test/ http://metadata.google.internal/computeMetadata/v1/ http://metadata.google.internal./
    http://instance-data.ec2.internal/ http://127.0.0.1.nip.test/ http://münchen.test/
  `),
  // Texts that look like the host and are not.
  ...list(String.raw`
    http://public.test@127.0.0.1/ http://127.0.0.1@public.test/ http://public.test:80@127.0.0.1:80/ http://public.test%00@127.0.0.1/
    http://127.0.0.1#@public.test/ http://127.0.0.1?@public.test/ http://127.0.0.1\@public.test/ http:127.0.0.1 http:///127.0.0.1/
  `),
  'http://\t127.0.0.1/',
];
