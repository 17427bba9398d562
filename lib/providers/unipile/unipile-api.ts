import { z } from 'zod';
import {
  type ErrorReading,
  type HttpRequest,
  type HttpResponse,
  ProviderError,
  request,
  unexpectedResponse,
} from '../../net/http.ts';
import type { MultipartFile } from '../../net/multipart.ts';
import { unipileV1 } from './unipile-v1.ts';
import { unipileV2 } from './unipile-v2.ts';
import type { Read, UnipileVersion, Write } from './unipile-version.ts';

export const PROVIDER = 'unipile';

export interface UnipileOptions {
  /** The version of Unipile's API; v1 by default. */
  version?: 'v1' | 'v2';
  /** A host (`api1.unipile.com:13111`) or a URL. */
  dsn: string;
  apiKey: string;
}

/** A client of Unipile's API. All calls throw `ProviderError`s. */
interface UnipileApi {
  version: UnipileVersion;
  get(read: Read, signal?: AbortSignal): Promise<HttpResponse>;
  /** Passes one page after another to `take` until it returns `enough`. Returns false if pages were left unread. */
  readPages(
    read: Read,
    take: (items: unknown[], response: HttpResponse) => 'enough' | 'more',
    signal?: AbortSignal,
  ): Promise<boolean>;
  /** Sends a write and parses the response with `schema`. */
  post<T>(write: Write, schema: z.ZodType<T>, signal?: AbortSignal, files?: MultipartFile[]): Promise<T>;
}

const errorBody = z.object({
  type: z.string(),
  title: z.string().optional(),
  detail: z.string().nullish(),
});

const MAX_PAGES = 5;

export function unipileApi({ dsn, apiKey, version: name = 'v1' }: UnipileOptions): UnipileApi {
  const version = { v1: unipileV1, v2: unipileV2 }[name];
  const base = `${(/^https?:\/\//i.test(dsn) ? dsn : `https://${dsn}`).replace(/\/+$/, '')}${version.base}`;
  const headers = { 'x-api-key': apiKey, accept: 'application/json' };
  const readErrorOf = (path: string) => (response: HttpResponse) => readingOf(version, path, response);

  const get: UnipileApi['get'] = async ({ path, query = {}, pageSize }, signal) => {
    const search = new URLSearchParams({ ...query, ...(pageSize && { limit: String(pageSize) }) });
    const response = await request({
      provider: PROVIDER,
      method: 'GET',
      url: `${base}${path}?${search}`,
      headers,
      signal,
      readError: readErrorOf(path),
    });
    if (!version.isCopy(response.headers)) return response;
    const message = `${PROVIDER} responded from its cache, so recent messages and posts may be missing`;
    throw new ProviderError(message, { kind: 'uncertain', provider: PROVIDER, code: 'cached_answer' });
  };

  return {
    version,
    get,
    async readPages(read, take, signal) {
      let next = read;
      let count = 0;
      for (let page = 1; page <= MAX_PAGES; page += 1) {
        const response = await get(next, signal);
        const parsed = version.page.safeParse(response.body);
        if (!parsed.success) throw unexpectedResponse(PROVIDER, response);
        const { items, cursor } = parsed.data;
        count += items.length;
        if (take(items, response) === 'enough') return true;
        if (cursor === null) return version.isLast(parsed.data, read, count);
        next = version.nextPage(read, cursor);
      }
      return false;
    },
    async post({ path, fields }, schema, signal, files = []) {
      const { contentType, body } = version.body(fields, files);
      const call: HttpRequest = {
        provider: PROVIDER,
        method: 'POST',
        url: `${base}${path}`,
        headers: { ...headers, 'content-type': contentType },
        body,
        privateTexts: typeof fields.text === 'string' ? [fields.text] : [],
        signal,
        readError: readErrorOf(path),
      };
      const response = await request(call);
      const parsed = schema.safeParse(response.body);
      if (!parsed.success) throw unexpectedResponse(PROVIDER, response, call);
      return parsed.data;
    },
  };
}

/**
 * Whether this page reaches back beyond `sinceMs`, so that later pages hold only older items. Unipile sorts lists newest first but does not promise
 * it, so the result is false for a page in another order. `instants` are the page's times in order, in milliseconds; NaN if unknown.
 */
export function reachesBefore(sinceMs: number, instants: number[]): boolean {
  const [first = 0, last = 0] = [instants[0], instants.at(-1)];
  return (
    first > last &&
    last < sinceMs &&
    instants.every((at, index) => at <= (instants[index - 1] ?? Number.POSITIVE_INFINITY))
  );
}

function readingOf(version: UnipileVersion, path: string, response: HttpResponse): ErrorReading | null {
  const { data } = errorBody.safeParse(response.body);
  if (!data || !version.isErrorType(data.type)) return null;
  const reading = response.status < 500 ? version.codes.get(data.type) : undefined;
  const detail = [data.title, data.detail].filter(Boolean).join(': ');
  // How the API refuses an account id of the other version is not documented. It refuses every row of the account.
  if (reading?.kind === 'rejected' && !version.isAccountPath(path))
    return {
      kind: 'account_refused',
      code: data.type,
      detail: `${detail}; the account id does not belong to this API version: correct the account's provider_account_id`,
    };
  return { ...reading, code: data.type, detail };
}
