import { z } from 'zod';
import { unexpectedResponse } from '../../net/http.ts';
import type { Media } from '../../net/media.ts';
import { PROVIDER, reachesBefore, type UnipileOptions, unipileApi } from './unipile-api.ts';

/*
 * Sources: Unipile's reference of API v1 (create a post, retrieve a post, list all posts, retrieve own profile) and its guide "Posts and
 * Comments"; for v2 those in unipile-v2.ts. They do not confirm the following, so this code does not rely on it:
 * - The form of the returned `post_id`. LinkedIn has several ids for one post (activity, share, ugcPost), and the list may show another one;
 *   `social_id` is the one for further calls. So the post is read back by `post_id`, and all numbers of an item are compared.
 * - Whether a new post can be retrieved by its `post_id` at once. If not, the permalink stays unknown.
 * - The precision of `parsed_datetime`. It was exact to the millisecond in every list that we saw, beside a `date` of "15h", and never absent.
 * - The order of the list, and the delay until a new post is in it.
 * - The effect of `{{0}}`, the placeholder of a mention, in a text without mentions.
 */

/** A post as its account's own list shows it. */
export interface OwnPost {
  /** The id for further calls: LinkedIn's URN, if Unipile returns it. */
  id: string;
  /** Everything that may identify the post: its ids, and the numbers in them and in its permalink. */
  names: string[];
  text: string;
  /** ISO 8601, UTC; null if there is no readable time. */
  at: string | null;
  permalink: string | null;
  /** A repost. Its text is another author's. */
  isRepost: boolean;
}

export interface UnipilePosts {
  /**
   * Publishes a post on the account's own profile. `postId` is null if the network behind Unipile returned none.
   * @throws ProviderError
   */
  createPost(post: {
    accountId: string;
    text: string;
    media: Media[];
    signal?: AbortSignal;
  }): Promise<{ postId: string | null }>;
  /**
   * Reads a post by any of its ids. Returns its id in the list and its permalink.
   * @throws ProviderError
   */
  readPost(query: {
    accountId: string;
    postId: string;
    signal?: AbortSignal;
  }): Promise<Pick<OwnPost, 'id' | 'permalink'>>;
  /**
   * Lists the account's posts from the instant `since` (ISO 8601) on, in the list's order. `complete` is false if there may be more posts, or if an
   * item could not be read.
   * @throws ProviderError
   */
  listOwnPosts(query: {
    accountId: string;
    since: string;
    signal?: AbortSignal;
  }): Promise<{ posts: OwnPost[]; complete: boolean }>;
}

/** v2 returns the post itself. */
const created = z.union([
  z.object({ object: z.literal('PostCreated'), post_id: z.string().nullish() }),
  z.object({ object: z.literal('Post'), id: z.string() }).transform(({ id }) => ({ post_id: id })),
]);

const optionalText = z.string().nullish().catch(null);
const listedPost = z
  .object({
    id: z.union([z.string(), z.number().int()]).transform(String).nullish().catch(null),
    social_id: optionalText,
    text: optionalText,
    parsed_datetime: optionalText,
    /** v2. */
    created_at: optionalText,
    date: optionalText,
    share_url: optionalText,
    is_repost: z.boolean().nullish().catch(null),
  })
  .transform((item, context): OwnPost => {
    const id = item.social_id || item.id;
    if (!id) context.addIssue({ code: 'custom', message: 'has no id' });
    const ids = [item.social_id, item.id].filter((one): one is string => Boolean(one));
    return {
      id: id ?? '',
      names: [...new Set([...ids, ...[...ids, item.share_url ?? ''].flatMap(numbersOf)])],
      text: item.text ?? '',
      at: instantOf(item.parsed_datetime) ?? instantOf(item.created_at) ?? instantOf(item.date),
      permalink: permalinkOf(item.share_url),
      isRepost: item.is_repost === true,
    };
  });

const profile = z.object({ provider_id: z.string().min(1) });

/** Makes a client for posts over Unipile's API. */
export function unipilePosts(options: UnipileOptions): UnipilePosts {
  const { version, get, post, readPages } = unipileApi(options);

  async function ownId(accountId: string, signal?: AbortSignal): Promise<string | null> {
    const self = version.self({ accountId });
    if (self === null) return null;
    const response = await get(self, signal);
    const parsed = profile.safeParse(response.body);
    if (!parsed.success) throw unexpectedResponse(PROVIDER, response);
    return parsed.data.provider_id;
  }

  return {
    async createPost({ accountId, text, media, signal }) {
      const files = media.map((one) => ({ field: 'attachments', ...one }));
      const response = await post(version.createPost({ accountId, text }), created, signal, files);
      return { postId: response.post_id || null };
    },
    async readPost({ accountId, postId, signal }) {
      const response = await get(version.post({ accountId, postId }), signal);
      const parsed = listedPost.safeParse(response.body);
      if (!parsed.success) throw unexpectedResponse(PROVIDER, response);
      return { id: parsed.data.id, permalink: parsed.data.permalink };
    },
    async listOwnPosts({ accountId, since, signal }) {
      const sinceMs = Date.parse(since);
      const found = new Map<string, OwnPost>();
      let allReadable = true;
      const take = (items: unknown[]) => {
        const read = items.flatMap((item) => listedPost.safeParse(item).data ?? []);
        // An unreadable post may be the one that the caller looks for.
        if (read.length < items.length) allReadable = false;
        const instants = read.map(({ at }) => (at === null ? Number.NaN : Date.parse(at)));
        for (const [index, one] of read.entries())
          if (!((instants[index] ?? 0) < sinceMs)) found.set(one.id, one);
        return reachesBefore(sinceMs, instants) ? 'enough' : 'more';
      };
      const userId = await ownId(accountId, signal);
      const allRead = await readPages(version.posts({ accountId, userId }), take, signal);
      return { posts: [...found.values()], complete: allRead && allReadable };
    },
  };
}

/**
 * Returns the number in a LinkedIn id or permalink, or an empty list. A permalink also contains words and numbers of the post's text, so only a
 * number after the kind of the post counts, and the last of several.
 */
export function numbersOf(text: string): string[] {
  if (/^\d{15,}$/.test(text)) return [text];
  const last = [...text.matchAll(/(?:activity|share|ugcPost)[:-](\d{15,})/g)].at(-1)?.[1];
  return last ? [last] : [];
}

/** Accepts only ISO 8601, because `Date.parse` reads other texts as times, for example "15h". */
function instantOf(text: string | null | undefined): string | null {
  const at = /^\d{4}-\d\d-\d\dT/.test(text ?? '') ? Date.parse(text ?? '') : Number.NaN;
  return Number.isNaN(at) ? null : new Date(at).toISOString();
}

/** Accepts only http and https, because the dashboard shows the permalink as a link. */
function permalinkOf(url: string | null | undefined): string | null {
  return url && /^https?:\/\//i.test(url) && URL.canParse(url) ? url : null;
}
