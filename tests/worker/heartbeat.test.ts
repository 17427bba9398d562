import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { silentLog } from '../../lib/engine/ports/log.ts';
import { startHeartbeat } from '../../worker/heartbeat.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

let server: Server;
let url: string;
let status: number;
let requests: string[];
let warnings: object[];
let isWell: boolean;
let clock: VirtualClock;
let end: () => void;

beforeEach(async () => {
  [status, requests, warnings, isWell] = [200, [], [], true];
  clock = new VirtualClock();
  server = createServer(({ method, url }, response) => {
    requests.push(`${method} ${url}`);
    response.writeHead(status).end('OK');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/secret-of-the-check`;
});
afterEach(() => {
  end();
  server.close();
});

function start(): void {
  const log = { ...silentLog, warn: (fields: object) => void warnings.push(fields) };
  end = startHeartbeat({ url, isWell: () => isWell, clock, log });
}

/** Lets `ms` pass on the virtual clock. */
const pass = (ms: number) => clock.run(new Promise<void>((resolve) => void clock.timer(ms, resolve)));
const waitForRequests = (times: number) => vi.waitFor(() => expect(requests.length).toBe(times));

it('the heartbeat is sent at once and each minute while the worker is well, until it ends', async () => {
  start();
  await waitForRequests(1);
  await pass(59_999);
  expect(requests).toEqual(['GET /secret-of-the-check']);
  await pass(1);
  await waitForRequests(2);
  isWell = false;
  await pass(180_000);
  isWell = true;
  await pass(60_000);
  await waitForRequests(3);
  end();
  await pass(600_000);
  expect(requests.length).toBe(3);
});

it('the heartbeat warns once if the service refuses it, and names only the host', async () => {
  status = 404;
  start();
  const { host } = new URL(url);
  await vi.waitFor(() => expect(warnings).toEqual([{ host, why: 'the service responded with 404' }]));
  await pass(60_000);
  await waitForRequests(2);
  server.close();
  server.closeAllConnections();
  await pass(60_000);
  expect(warnings.length).toBe(1);
});

it('the heartbeat warns if no server responds', async () => {
  server.close();
  await once(server, 'close');
  start();
  await vi.waitFor(() => expect(warnings).toEqual([{ host: new URL(url).host, why: 'ECONNREFUSED' }]));
});
