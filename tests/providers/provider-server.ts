import { afterEach } from 'vitest';
import { httpAnswer, loopback } from '../net/loopback.ts';

/** A provider that says what a test wants. Its servers are closed after each test. */
export function providerServer() {
  const net = loopback();
  afterEach(() => net.closeAll());

  /** Gives one response to every request, and keeps the requests. */
  async function responding(status: number, body: unknown, headers?: Record<string, string>) {
    const requests: string[] = [];
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const url = await net.answering((socket, raw) => {
      requests.push(raw);
      socket.end(httpAnswer(status, text, headers));
    });
    return { url, requests };
  }

  /**
   * Gives lists of Unipile page by page, a 500 for a page that is null, and `self` to the question who the account is. Keeps the URLs. A page that
   * is not the last has a cursor.
   */
  async function paging(version: 'v1' | 'v2', pages: Page[], self?: object) {
    const requests: URL[] = [];
    const url = await net.answering((socket, raw) => {
      const asked = new URL(/^GET (\S+) /.exec(raw)?.[1] ?? '/not-a-get', 'http://unipile');
      requests.push(asked);
      const n = Number(asked.searchParams.get('cursor') ?? 0);
      const items = pages[n];
      const cursor = n + 1 < pages.length ? `${n + 1}` : n === 0 ? undefined : null;
      const list = version === 'v1' ? { items, cursor } : { data: items, next_cursor: cursor };
      const body = self && asked.pathname.endsWith('/users/me') ? self : { object: 'List', ...list };
      socket.end(httpAnswer(items ? 200 : 500, JSON.stringify(body)));
    });
    return { url, requests };
  }

  return { net, responding, paging };
}

export type Page = unknown[] | null;
