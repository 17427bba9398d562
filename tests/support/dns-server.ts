import { createSocket } from 'node:dgram';
import { isIP } from 'node:net';

/** Addresses of either family, another name, no records (`nothing`), an error (`fails`) or no response (`silence`). */
export type DnsAnswer = string[] | { cname: string } | 'nothing' | 'fails' | 'silence';

/** The answer for each name, or one answer per question, the last of which repeats. Other names do not exist. */
export type DnsZone = Record<string, DnsAnswer | { inTurn: DnsAnswer[] }>;

export interface DnsServer {
  /** `ip:port`, as a resolver takes it. */
  address: string;
  /** The questions received, as `A site.test`. */
  questions: string[];
  close(): Promise<void>;
}

const typeNames: Record<number, 'A' | 'AAAA'> = { 1: 'A', 28: 'AAAA' };
const CNAME = 5;

/**
 * Starts a DNS server on loopback, over UDP. It never answers questions of the type `silentFor`, and delays answers for IPv4 by `lateMs`.
 */
export async function startDnsServer(
  zone: DnsZone,
  silentFor?: 'A' | 'AAAA',
  lateMs = 0,
): Promise<DnsServer> {
  const socket = createSocket('udp4');
  const questions: string[] = [];
  socket.on('message', (query, { port, address }) => {
    const { name, type, end } = readQuestion(query);
    const typeName = typeNames[type];
    if (!typeName) return;
    const question = `${typeName} ${name}`;
    questions.push(question);
    const times = questions.filter((one) => one === question).length;
    const answer = answerOf(zone, name, times);
    if (answer === 'silence' || typeName === silentFor) return;
    const records = recordsOf(zone, name, answer, typeName, times);
    const code = answer === 'fails' ? 2 : answer === undefined ? 3 : 0;
    const head = Buffer.from(query.subarray(0, 12));
    head.writeUInt16BE(0x8180 | code, 2);
    head.writeUInt16BE(records.length, 6);
    head.writeUInt32BE(0, 8);
    const send = () => socket.send(Buffer.concat([head, query.subarray(12, end), ...records]), port, address);
    if (lateMs > 0 && typeName === 'A') setTimeout(send, lateMs);
    else send();
  });
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  return {
    address: `127.0.0.1:${socket.address().port}`,
    questions,
    close: () => new Promise((resolve) => socket.close(resolve)),
  };
}

function answerOf(zone: DnsZone, name: string, times: number): DnsAnswer | undefined {
  const entry = zone[name.toLowerCase()];
  return entry !== undefined && typeof entry === 'object' && 'inTurn' in entry
    ? entry.inTurn[Math.min(times, entry.inTurn.length) - 1]
    : entry;
}

/** Returns the CNAME records that lead to the addresses, then the addresses. */
function recordsOf(
  zone: DnsZone,
  name: string,
  answer: DnsAnswer | undefined,
  type: 'A' | 'AAAA',
  times: number,
): Buffer[] {
  if (answer === undefined || typeof answer === 'string') return [];
  if ('cname' in answer) {
    const { cname } = answer;
    return [
      record(name, CNAME, nameBytes(cname)),
      ...recordsOf(zone, cname, answerOf(zone, cname, times), type, times),
    ];
  }
  return answer
    .filter((address) => isIP(address) === (type === 'A' ? 4 : 6))
    .map((address) => record(name, type === 'A' ? 1 : 28, addressBytes(address)));
}

function record(name: string, type: number, data: Buffer): Buffer {
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(type, 0);
  fixed.writeUInt16BE(1, 2);
  // A TTL of 0 s: not to be cached.
  fixed.writeUInt32BE(0, 4);
  fixed.writeUInt16BE(data.length, 8);
  return Buffer.concat([nameBytes(name), fixed, data]);
}

const nameBytes = (name: string) =>
  Buffer.concat([
    ...name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)])),
    Buffer.from([0]),
  ]);

function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number));
  const [before = '', after] = address.split('::');
  const parts = (text: string) =>
    text === '' ? [] : text.split(':').map((part) => Number.parseInt(part, 16));
  const [head, tail] = [parts(before), parts(after ?? '')];
  const bytes = Buffer.alloc(16);
  head.forEach((part, index) => void bytes.writeUInt16BE(part, index * 2));
  tail.forEach((part, index) => void bytes.writeUInt16BE(part, 16 - (tail.length - index) * 2));
  return bytes;
}

function readQuestion(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.subarray(at + 1, at + 1 + length).toString());
    at += 1 + length;
  }
  return { name: labels.join('.'), type: query.readUInt16BE(at + 1), end: at + 5 };
}
