import type { RequestListener } from 'node:http';
import { afterEach, expect } from 'vitest';
import type { HttpCheck } from '../../../lib/net/checks/http-check.ts';
import { sites } from '../../support/sites.ts';
import { loopback } from '../loopback.ts';

/** The servers of one test file: `serve` for HTTP and TLS, `raw` for plain sockets. Each test's are closed after it. */
export function siteServers() {
  const { serve, closeAll } = sites();
  const raw = loopback();
  afterEach(async () => {
    await closeAll();
    await raw.closeAll();
  });
  return { serve, closeAll, raw };
}

/** Responds to any request with a status, headers and a body. */
export const respond =
  (status: number, headers: Record<string, string> = {}, body: string | Buffer = ''): RequestListener =>
  (_request, response) =>
    void response.writeHead(status, headers).end(body);

/** A GET that expects 2xx. */
export const plainCheck: Omit<HttpCheck, 'url'> = {
  method: 'GET',
  headers: {},
  expectedStatus: '200-299',
  keywordPresent: null,
  keywordAbsent: null,
  timeoutMs: 2_000,
  degradedMs: null,
  maxRedirects: 5,
  certificateDays: null,
};

export const up = { verdict: 'up', error: null };
export const down = (error: string | RegExp) => ({
  verdict: 'down',
  error: typeof error === 'string' ? error : expect.stringMatching(error),
});

/** A signal that never fires. */
export const never = new AbortController().signal;
