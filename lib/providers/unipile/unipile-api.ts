import { z } from 'zod';
import { type ErrorReading, type HttpAnswer, ProviderError, request, unexpectedAnswer } from '../../net/http';
import type { MultipartFile } from '../../net/multipart';
import { unipileV1 } from './unipile-v1';
import { unipileV2 } from './unipile-v2';
import type { Read, UnipileVersion, Write } from './unipile-version';

export const PROVIDER = 'unipile';

export interface UnipileOptions {
  /** Of its API; v1 if not given. */
  version?: 'v1' | 'v2';
  /** A host (`api1.unipile.com:13111`) or an address with its scheme. */
  dsn: string;
  apiKey: string;
}

/** Calls of Unipile's API. All of them throw `ProviderError`. */
export interface UnipileApi {
  version: UnipileVersion;
  get(read: Read, signal?: AbortSignal): Promise<HttpAnswer>;
  /** Hands out page after page, until `take` has enough. False where pages were left unread. */
  readPages(
    read: Read,
    take: (items: unknown[], answer: HttpAnswer) => 'enough' | 'more',
    signal?: AbortSignal,
  ): Promise<boolean>;
  /** What it is answered has to fit `schema`. */
  post<T>(write: Write, schema: z.ZodType<T>, signal?: AbortSignal, files?: MultipartFile[]): Promise<T>;
}

const errorBody = z.object({
  type: z.string(),
  title: z.string().optional(),
  detail: z.string().nullish(),
});

const MOST_PAGES = 5;

export function unipileApi({ dsn, apiKey, version: name = 'v1' }: UnipileOptions): UnipileApi {
  const version = { v1: unipileV1, v2: unipileV2 }[name];
  const base = `${(/^https?:\/\//i.test(dsn) ? dsn : `https://${dsn}`).replace(/\/+$/, '')}${version.base}`;
  const headers = { 'x-api-key': apiKey, accept: 'application/json' };
  const readErrorOf = (path: string) => (answer: HttpAnswer) => readingOf(version, path, answer);

  const get: UnipileApi['get'] = async ({ path, query = {}, pageSize }, signal) => {
    const asked = new URLSearchParams({ ...query, ...(pageSize && { limit: String(pageSize) }) });
    const answer = await request({
      provider: PROVIDER,
      method: 'GET',
      url: `${base}${path}?${asked}`,
      headers,
      signal,
      readError: readErrorOf(path),
    });
    if (!version.isCopy(answer.headers)) return answer;
    const message = `${PROVIDER} answered from its cache: what was sent since may be missing`;
    throw new ProviderError(message, { kind: 'uncertain', provider: PROVIDER, code: 'cached_answer' });
  };

  return {
    version,
    get,
    async readPages(read, take, signal) {
      let asked = read;
      let count = 0;
      for (let page = 1; page <= MOST_PAGES; page += 1) {
        const answer = await get(asked, signal);
        const parsed = version.page.safeParse(answer.body);
        if (!parsed.success) throw unexpectedAnswer(PROVIDER, answer);
        const { items, cursor } = parsed.data;
        count += items.length;
        if (take(items, answer) === 'enough') return true;
        if (cursor === null) return version.isLast(parsed.data, read, count);
        asked = version.nextPage(read, cursor);
      }
      return false;
    },
    async post({ path, fields }, schema, signal, files = []) {
      const { contentType, body } = version.body(fields, files);
      const answer = await request({
        provider: PROVIDER,
        method: 'POST',
        url: `${base}${path}`,
        headers: { ...headers, 'content-type': contentType },
        body,
        signal,
        readError: readErrorOf(path),
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

function readingOf(version: UnipileVersion, path: string, answer: HttpAnswer): ErrorReading | null {
  const { data } = errorBody.safeParse(answer.body);
  if (!data || !version.isErrorType(data.type)) return null;
  const reading = answer.status < 500 ? version.codes.get(data.type) : undefined;
  const detail = [data.title, data.detail].filter(Boolean).join(': ');
  // Nothing documents how an account id of the other version is refused, and it is refused for every row of the account.
  if (reading?.kind === 'rejected' && !version.isAccountPath(path))
    return {
      kind: 'account_refused',
      code: data.type,
      detail: `${detail}; the account id is not one of this API version: correct the account's provider_account_id`,
    };
  return { ...reading, code: data.type, detail };
}
