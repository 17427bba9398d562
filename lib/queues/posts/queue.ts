import { z } from 'zod';
import type { Outcome } from '../../engine/outcome.ts';
import type { Finding } from '../../engine/ports/queue-store.ts';
import {
  defineQueue,
  NotConfiguredError,
  type PerformContext,
  type ReconcileContext,
} from '../../engine/queue.ts';
import { fetchMedia, type Media } from '../../net/media.ts';
import { addressGuard } from '../../net/public-address.ts';
import { within } from '../../net/within.ts';
import { postLimits } from '../../providers/body-limits.ts';
import { unipileMaxLateMs } from '../../providers/unipile/unipile.ts';
import type { UnipileOptions } from '../../providers/unipile/unipile-api.ts';
import { type UnipilePosts, unipilePosts } from '../../providers/unipile/unipile-posts.ts';
import { matchPosts, type OtherRow, postCandidateMs } from './match-posts.ts';

const row = z.object({
  id: z.coerce.string(),
  body: z
    .string()
    .refine((body) => body.trim() !== '', 'is empty')
    .max(postLimits.body, `is longer than the ${postLimits.body} characters that a post allows`),
  media_urls: z
    .array(z.string())
    .max(postLimits.media, `are more than the ${postLimits.media} that a post allows`),
});

type Post = z.infer<typeof row>;

/** The value of `find_post_evidence`: other rows of the account from around the attempt's time. */
const others = z.array(
  z.object({
    status: z.enum(['publishing', 'published', 'unknown']),
    body: z.string(),
    provider_post_id: z.string().nullable(),
    permalink: z.string().nullable(),
  }),
);

export interface PostProviders {
  unipile: UnipilePosts;
  /** `fetchMedia` of lib/net/media.ts, limited to the allowed hosts. */
  fetchMedia(urls: string[], signal: AbortSignal): Promise<Media[]>;
  /** How long after its attempt a post can still appear in its account's list, in milliseconds. */
  unipileMaxLateMs: number;
}

interface PostEnv {
  unipile?: UnipileOptions & { maxLateMs?: number };
  /** Private hosts that media may be fetched from. */
  mediaAllowPrivate?: string[];
}

/** For fetching all media. The rest of the attempt's time is for publishing; if it is too short, the attempt is uncertain. */
const mediaMs = 12_000;
/** For reading the address of the published post. */
const permalinkMs = 5_000;

/** Posts on LinkedIn. Each goes out at most once. */
export const posts = defineQueue<Post, PostProviders, PostEnv>({
  name: 'posts',
  row,
  delivery: 'at-most-once',
  timeoutMs: 30_000,

  connect(env) {
    if (!env.unipile) {
      throw new NotConfiguredError('no provider can publish posts: set UNIPILE_DSN and UNIPILE_API_KEY', [
        'UNIPILE_DSN',
        'UNIPILE_API_KEY',
      ]);
    }
    const guard = addressGuard(env.mediaAllowPrivate, { variable: 'MEDIA_ALLOW_PRIVATE' });
    return {
      unipile: unipilePosts(env.unipile),
      fetchMedia: (urls, signal) => fetchMedia(urls, guard, signal),
      unipileMaxLateMs: env.unipile.maxLateMs ?? unipileMaxLateMs,
    };
  },

  providers: () => ['unipile'],

  async perform(post, context) {
    const { deps, account, signal } = context;
    if (account?.provider !== 'unipile') {
      return {
        kind: 'dead',
        error: `the provider ${account?.provider ?? '(none)'} cannot publish posts`,
      };
    }
    let media: Media[];
    try {
      media = await within(signal, mediaMs, (inTime) => deps.fetchMedia(post.media_urls, inTime));
    } catch (error) {
      return withoutMedia(error);
    }
    const { providerAccountId: accountId } = account;
    const { postId } = await deps.unipile.createPost({ accountId, text: post.body, media, signal });
    return { kind: 'done', result: await describePublished(postId, accountId, context) };
  },

  async reconcile(post, context) {
    return findInList(post, context);
  },
});

/** Nothing was published. Returns the outcome, because a thrown error would count as a failure of the publishing provider. */
function withoutMedia(error: unknown): Outcome {
  const { kind, retryAfterSeconds } = error as { kind?: string; retryAfterSeconds?: number | null };
  const message = error instanceof Error ? error.message : String(error);
  if (kind === 'rejected') return { kind: 'dead', error: message };
  return { kind: 'retry', error: message, afterSeconds: retryAfterSeconds ?? undefined };
}

/** Reads the published post's id in the list and its address, if possible. A failure changes nothing: the post is published. */
async function describePublished(
  postId: string | null,
  accountId: string,
  { deps, signal, log }: PerformContext<PostProviders>,
): Promise<Record<string, string | null>> {
  if (postId === null) return {};
  try {
    const { id, permalink } = await within(signal, permalinkMs, (inTime) =>
      deps.unipile.readPost({ accountId, postId, signal: inTime }),
    );
    return { provider_post_id: id, permalink };
  } catch (error) {
    log.info({ err: error, postId }, 'a post was published; its address could not be read');
    return { provider_post_id: postId };
  }
}

async function findInList(
  post: Post,
  { deps, account, attemptedAt, evidence, signal }: ReconcileContext<PostProviders>,
): Promise<Finding> {
  if (account?.provider !== 'unipile')
    throw new Error(`posts cannot be read from the provider ${account?.provider ?? '(none)'}`);
  const rows = others.parse(evidence ?? []);
  // That post could be mistaken for this row's until its own row has its id, which takes a moment.
  if (rows.some(({ status }) => status === 'publishing'))
    throw new Error('another post of the account is being published');
  const since = new Date(Date.parse(attemptedAt) - postCandidateMs).toISOString();
  const { providerAccountId: accountId } = account;
  const { posts: own, complete } = await deps.unipile.listOwnPosts({ accountId, since, signal });
  const { proof, candidates } = matchPosts(post.body, attemptedAt, own, rows.map(asOther));
  return {
    proof,
    candidates,
    // LinkedIn may process a video for longer than any wait that would prove its absence.
    absentAfterMs: complete && post.media_urls.length === 0 ? deps.unipileMaxLateMs : null,
    text: describeFinding(proof.length, candidates.length, complete, post.media_urls.length > 0),
  };
}

function asOther(other: z.infer<typeof others>[number]): OtherRow {
  const { body, provider_post_id: postId, permalink } = other;
  return { body, postId, permalink };
}

function describeFinding(
  proofCount: number,
  candidateCount: number,
  complete: boolean,
  hasMedia: boolean,
): string {
  if (proofCount > 0) return 'the post is among the account’s posts';
  if (candidateCount > 0) return 'the account has a post that may be this one: check the account’s posts';
  if (hasMedia)
    return 'the post is not among the account’s posts, but its media may still be in process: check them later';
  return complete
    ? 'the post is not among the account’s posts'
    : 'the post is not among those that were read; the account has more, or some could not be read';
}
