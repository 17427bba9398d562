import { z } from 'zod';
import type { Outcome } from '../../engine/outcome';
import type { Finding } from '../../engine/ports/queue-store';
import {
  defineQueue,
  NotConfiguredError,
  type PerformContext,
  type ReconcileContext,
} from '../../engine/queue';
import { fetchMedia, type Media } from '../../net/media';
import { addressGuard } from '../../net/public-address';
import { within } from '../../net/within';
import { postLimits } from '../../providers/body-limits';
import { unipileMaxLateMs } from '../../providers/unipile/unipile';
import type { UnipileOptions } from '../../providers/unipile/unipile-api';
import { type UnipilePosts, unipilePosts } from '../../providers/unipile/unipile-posts';
import { matchPosts, type OtherRow, postCandidateMs } from './match-posts';

const row = z.object({
  id: z.coerce.string(),
  body: z
    .string()
    .refine((body) => body.trim() !== '', 'is empty')
    .max(postLimits.body, `is longer than the ${postLimits.body} characters that a post takes`),
  media_urls: z
    .array(z.string())
    .max(postLimits.media, `are more than the ${postLimits.media} that a post takes`),
});

type Post = z.infer<typeof row>;

/** What `find_post_evidence` answers: other rows of the account, of about that time. */
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
  /** As `fetchMedia` of lib/net/media.ts, from where media may be fetched. */
  fetchMedia(urls: string[], signal: AbortSignal): Promise<Media[]>;
  /** How late after its attempt a post can still show up in its account's list. */
  unipileMaxLateMs: number;
}

export interface PostEnv {
  unipile?: UnipileOptions & { maxLateMs?: number };
  /** Private hosts that media may be fetched from all the same. */
  mediaAllowPrivate?: string[];
}

/** Of an attempt's time, for all media: what is left is for publishing, and uncertain where it does not suffice. */
const mediaMs = 12_000;
/** Of what is left once the post is out, for its address. */
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
        error: `no posts are published by the provider ${account?.provider ?? '(none)'}`,
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

/** Nothing was published. Returned, not thrown: it is no failure of the provider that would have published it. */
function withoutMedia(error: unknown): Outcome {
  const { kind, retryAfterSeconds } = error as { kind?: string; retryAfterSeconds?: number | null };
  const message = error instanceof Error ? error.message : String(error);
  if (kind === 'rejected') return { kind: 'dead', error: message };
  return { kind: 'retry', error: message, afterSeconds: retryAfterSeconds ?? undefined };
}

/** The post is out, whatever this comes to: its id as the list has it, and its address, as far as they can be had. */
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
    log.info({ err: error, postId }, 'a post is published, and its address could not be read');
    return { provider_post_id: postId };
  }
}

async function findInList(
  post: Post,
  { deps, account, attemptedAt, evidence, signal }: ReconcileContext<PostProviders>,
): Promise<Finding> {
  if (account?.provider !== 'unipile')
    throw new Error(`no posts are read at ${account?.provider ?? '(no provider)'}`);
  const rows = others.parse(evidence ?? []);
  // What it leaves in the list could be taken for this one's: in a moment it bears its id.
  if (rows.some(({ status }) => status === 'publishing'))
    throw new Error('another post of the account is being published at the moment');
  const since = new Date(Date.parse(attemptedAt) - postCandidateMs).toISOString();
  const { providerAccountId: accountId } = account;
  const { posts: own, complete } = await deps.unipile.listOwnPosts({ accountId, since, signal });
  const { proof, candidates } = matchPosts(post.body, attemptedAt, own, rows.map(asOther));
  return {
    proof,
    candidates,
    // LinkedIn may process a video for longer than any wait that proves something.
    absentAfterMs: complete && post.media_urls.length === 0 ? deps.unipileMaxLateMs : null,
    text: describeFinding(proof.length, candidates.length, complete, post.media_urls.length > 0),
  };
}

function asOther(other: z.infer<typeof others>[number]): OtherRow {
  const { body, provider_post_id: postId, permalink } = other;
  return { body, postId, permalink };
}

function describeFinding(proof: number, candidates: number, complete: boolean, hasMedia: boolean): string {
  if (proof > 0) return 'it is among the account’s posts';
  if (candidates > 0) return 'the account has a post that may be it: look there';
  if (hasMedia)
    return 'it is not among the account’s posts, where its media may still be in process: look there';
  return complete
    ? 'it is not among the account’s posts'
    : 'it is not among the account’s latest posts; there are more, or some could not be read';
}
