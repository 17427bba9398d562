import { z } from 'zod';
import { unexpectedAnswer } from '../../net/http';
import type { Media } from '../../net/media';
import { PROVIDER, passes, type UnipileOptions, unipileApi } from './unipile-api';

/*
 * Sources: Unipile's reference of API v1 (create a post, retrieve a post, list all posts, retrieve own profile) and its guide "Posts and
 * Comments"; of v2 what unipile-v2.ts names. Not confirmed there, and never relied upon:
 * - In what form `post_id` comes back. LinkedIn has several ids for one post (activity, share, ugcPost), and the list may show another
 *   one; `social_id` is the one to act upon. So the post is read back by `post_id`, and whatever numbers an item bears are compared.
 * - That a retrieve takes the `post_id` just given, and at once. Where it does not, the permalink stays unknown.
 * - How exact `parsed_datetime` is: to the millisecond where it was seen, while `date` beside it is "15h". It is absent from no list seen.
 * - That the list is in order, and how soon a new post is in it.
 * - What becomes of `{{0}}` in a text, which stands for a mention, where no mentions are sent along.
 */

/** A post as its account's own list shows it. */
export interface OwnPost {
  /** The one to act upon: LinkedIn's URN, where it is told. */
  id: string;
  /** All that may name it: its ids, and the numbers in them and in its address. */
  names: string[];
  text: string;
  /** ISO 8601, UTC; null where none is told that can be read. */
  at: string | null;
  permalink: string | null;
  /** Somebody's post handed on: its text is theirs. */
  isRepost: boolean;
}

export interface UnipilePosts {
  /**
   * Publishes on the account's own profile. `postId` is null where the network behind Unipile returned none.
   * @throws ProviderError
   */
  createPost(post: {
    accountId: string;
    text: string;
    media: Media[];
    signal?: AbortSignal;
  }): Promise<{ postId: string | null }>;
  /**
   * One post, by any of its ids: the id it has in the list, and its address.
   * @throws ProviderError
   */
  readPost(query: {
    accountId: string;
    postId: string;
    signal?: AbortSignal;
  }): Promise<Pick<OwnPost, 'id' | 'permalink'>>;
  /**
   * What the account posted from the instant `since` (ISO 8601) on, in the order of the list. `complete` is false where there may be more
   * than was read, or an item could not be read.
   * @throws ProviderError
   */
  listOwnPosts(query: {
    accountId: string;
    since: string;
    signal?: AbortSignal;
  }): Promise<{ posts: OwnPost[]; complete: boolean }>;
}

/** v2 answers the post itself. */
const created = z.union([
  z.object({ object: z.literal('PostCreated'), post_id: z.string().nullish() }),
  z.object({ object: z.literal('Post'), id: z.string() }).transform(({ id }) => ({ post_id: id })),
]);

const optionalText = z.string().nullish().catch(null);
const shown = z
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

/** Posts by Unipile's API. */
export function unipilePosts(options: UnipileOptions): UnipilePosts {
  const { version, get, post, readPages } = unipileApi(options);

  async function ownId(accountId: string, signal?: AbortSignal): Promise<string | null> {
    const self = version.self({ accountId });
    if (self === null) return null;
    const answer = await get(self, signal);
    const parsed = profile.safeParse(answer.body);
    if (!parsed.success) throw unexpectedAnswer(PROVIDER, answer);
    return parsed.data.provider_id;
  }

  return {
    async createPost({ accountId, text, media, signal }) {
      const files = media.map((one) => ({ field: 'attachments', ...one }));
      const answer = await post(version.createPost({ accountId, text }), created, signal, files);
      return { postId: answer.post_id || null };
    },
    async readPost({ accountId, postId, signal }) {
      const answer = await get(version.post({ accountId, postId }), signal);
      const parsed = shown.safeParse(answer.body);
      if (!parsed.success) throw unexpectedAnswer(PROVIDER, answer);
      return { id: parsed.data.id, permalink: parsed.data.permalink };
    },
    async listOwnPosts({ accountId, since, signal }) {
      const sinceMs = Date.parse(since);
      const found = new Map<string, OwnPost>();
      let allReadable = true;
      const take = (items: unknown[]) => {
        const read = items.flatMap((item) => shown.safeParse(item).data ?? []);
        // One that cannot be read may be the one that is looked for.
        if (read.length < items.length) allReadable = false;
        const instants = read.map(({ at }) => (at === null ? Number.NaN : Date.parse(at)));
        for (const [index, one] of read.entries())
          if (!((instants[index] ?? 0) < sinceMs)) found.set(one.id, one);
        return passes(sinceMs, instants) ? 'enough' : 'more';
      };
      const userId = await ownId(accountId, signal);
      const allRead = await readPages(version.posts({ accountId, userId }), take, signal);
      return { posts: [...found.values()], complete: allRead && allReadable };
    },
  };
}

/**
 * The number that a LinkedIn id or a permalink bears; none where it is told from nothing else. A permalink has words of people in it, and
 * their numbers: only what follows the kind of the post counts, and of several the last.
 */
export function numbersOf(text: string): string[] {
  if (/^\d{15,}$/.test(text)) return [text];
  const last = [...text.matchAll(/(?:activity|share|ugcPost)[:-](\d{15,})/g)].at(-1)?.[1];
  return last ? [last] : [];
}

/** Not `Date.parse` of anything: it makes an instant of much that is none, such as "15h". */
function instantOf(text: string | null | undefined): string | null {
  const at = /^\d{4}-\d\d-\d\dT/.test(text ?? '') ? Date.parse(text ?? '') : Number.NaN;
  return Number.isNaN(at) ? null : new Date(at).toISOString();
}

/** It is shown to people as a link. */
function permalinkOf(url: string | null | undefined): string | null {
  return url && /^https?:\/\//i.test(url) && URL.canParse(url) ? url : null;
}
