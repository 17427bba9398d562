import type { Answer, EndpointName, PathParams, Query } from './api-types.ts';
import type { CallApi, CallOptions } from './call-api.ts';

/** The endpoints that return pages, with the key of their items. */
type Items<Name extends EndpointName> = Omit<Answer<Name>, 'next' | 'count'>;
type ItemOf<Name extends EndpointName> = Items<Name>[keyof Items<Name>] extends (infer Item)[] ? Item : never;

/** A list. `for await` gives its items and reads each page when it is needed. */
export interface Pages<Name extends EndpointName> extends AsyncIterable<ItemOf<Name>> {
  /** Reads one page. `cursor` is the `next` of the previous one. */
  page(cursor?: string): Promise<Answer<Name>>;
}

/** Returns the list of an endpoint. Nothing is called before it is read. */
export function pages<Name extends EndpointName>(
  call: CallApi,
  name: Name,
  { params, query, signal }: { params?: PathParams<Name>; query?: Query<Name> } & CallOptions = {},
): Pages<Name> {
  const page = (cursor?: string): Promise<Answer<Name>> =>
    call(name, {
      params,
      query: { ...query, ...(cursor !== undefined && { cursor }) } as Query<Name>,
      signal,
    });
  return {
    page,
    async *[Symbol.asyncIterator]() {
      let cursor: string | undefined;
      do {
        const { next, ...rest } = (await page(cursor)) as { next: string | null } & Record<string, unknown>;
        yield* Object.values(rest).find(Array.isArray) as ItemOf<Name>[];
        cursor = next ?? undefined;
      } while (cursor !== undefined);
    },
  };
}
