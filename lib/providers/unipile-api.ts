import { z } from 'zod';
import { type ErrorReading, type HttpAnswer, request, unexpectedAnswer } from './http';
import { type MultipartFile, multipart } from './multipart';
import { unipileCodes } from './unipile-codes';

export const PROVIDER = 'unipile';

export interface UnipileOptions {
  /** A host (`api1.unipile.com:13111`) or an address with its scheme. */
  dsn: string;
  apiKey: string;
}

/** Calls of Unipile's API v1, below `/api/v1`. All of them throw `ProviderError`. */
export interface UnipileApi {
  get(path: string, query: Record<string, string>, signal?: AbortSignal): Promise<HttpAnswer>;
  /** Hands out page after page, until `take` has enough. False where pages were left unread. */
  readPages(
    path: string,
    query: Record<string, string>,
    take: (items: unknown[], answer: HttpAnswer) => 'enough' | 'more',
    signal?: AbortSignal,
    pageSize?: number,
  ): Promise<boolean>;
  /** A form; what it is answered has to fit `schema`. */
  post<T>(
    path: string,
    fields: Record<string, string | undefined>,
    schema: z.ZodType<T>,
    signal?: AbortSignal,
    files?: MultipartFile[],
  ): Promise<T>;
}

const errorBody = z.object({
  type: z.string().startsWith('errors/'),
  title: z.string().optional(),
  detail: z.string().nullish(),
});

const list = z.object({ items: z.array(z.unknown()), cursor: z.string().nullish() });

const PAGE_SIZE = 100;
const MOST_PAGES = 5;

export function unipileApi({ dsn, apiKey }: UnipileOptions): UnipileApi {
  const base = (/^https?:\/\//i.test(dsn) ? dsn : `https://${dsn}`).replace(/\/+$/, '');
  const headers = { 'x-api-key': apiKey, accept: 'application/json' };

  const get: UnipileApi['get'] = (path, query, signal) =>
    request({
      provider: PROVIDER,
      method: 'GET',
      url: `${base}/api/v1${path}?${new URLSearchParams(query)}`,
      headers,
      signal,
      readError,
    });

  return {
    get,
    async readPages(path, query, take, signal, pageSize = PAGE_SIZE) {
      let cursor = '';
      for (let page = 1; page <= MOST_PAGES; page += 1) {
        const asked = { ...query, limit: String(pageSize), ...(cursor && { cursor }) };
        const answer = await get(path, asked, signal);
        const parsed = list.safeParse(answer.body);
        if (!parsed.success) throw unexpectedAnswer(PROVIDER, answer);
        cursor = parsed.data.cursor ?? '';
        if (take(parsed.data.items, answer) === 'enough' || !cursor) return true;
      }
      return false;
    },
    async post(path, fields, schema, signal, files) {
      const { contentType, body } = multipart(fields, files);
      const answer = await request({
        provider: PROVIDER,
        method: 'POST',
        url: `${base}/api/v1${path}`,
        headers: { ...headers, 'content-type': contentType },
        body,
        signal,
        readError,
      });
      const parsed = schema.safeParse(answer.body);
      if (!parsed.success) throw unexpectedAnswer(PROVIDER, answer);
      return parsed.data;
    },
  };
}

/**
 * Whether all that is wanted was on this page or before it: where pages come newest first, which is how Unipile lists them but does not
 * promise, older ones hold nothing. `instants` as they stand on the page, in milliseconds; NaN where one is not known.
 */
export function passes(sinceMs: number, instants: number[]): boolean {
  const [first = 0, last = 0] = [instants[0], instants.at(-1)];
  return (
    first > last &&
    last < sinceMs &&
    instants.every((at, index) => at <= (instants[index - 1] ?? Number.POSITIVE_INFINITY))
  );
}

function readError(answer: HttpAnswer): ErrorReading | null {
  const parsed = errorBody.safeParse(answer.body);
  if (!parsed.success) return null;
  const { type, title, detail } = parsed.data;
  return {
    ...(answer.status < 500 && unipileCodes.get(type)),
    code: type,
    detail: [title, detail].filter(Boolean).join(': '),
  };
}
