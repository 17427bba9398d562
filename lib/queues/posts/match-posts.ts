import type { Finding } from '../../engine/ports/queue-store.ts';
import { numbersOf, type OwnPost } from '../../providers/unipile/unipile-posts.ts';
import { mayBecome, proofByText } from '../dm-queue/match-messages.ts';

/** Another row of the account. A post in the account's list may be that row's. */
export interface OtherRow {
  body: string;
  /** Null if the provider returned none, or if it is unknown whether the post is published. */
  postId: string | null;
  permalink: string | null;
}

/**
 * A post that is older than the attempt by up to this, in milliseconds, may still be the attempt's: a time that is derived from "15h", a clock or a
 * time zone can be wrong by as much.
 */
export const postCandidateMs = 24 * 3_600_000;

/**
 * Finds what an attempt of `text`, begun at `attemptedAt`, may have left among the account's own posts.
 *
 * - Proof: a post with the same text since the attempt, as with messages.
 * - Candidate: any other post that no other row has, from a day before the attempt on or without a time. Networks shorten links and cut texts,
 *   posts are few, and a second post cannot be undone.
 *
 * A post has several ids, and a row may have a different one from the list, so all ids are compared. A post belongs to another row only if an id
 * matches. If another row has none of the listed ids and its text may have become the post's text, the post is only a candidate.
 */
export function matchPosts(
  text: string,
  attemptedAt: string,
  posts: OwnPost[],
  others: OtherRow[],
): Pick<Finding, 'proof' | 'candidates'> {
  const begunAt = Date.parse(attemptedAt);
  const free = posts.filter((post) => !post.isRepost && !others.some((other) => belongsTo(post, other)));
  const rivals = others.filter((other) => !posts.some((post) => belongsTo(post, other)));

  const recent = free.filter((post) => post.at === null || Date.parse(post.at) >= begunAt - postCandidateMs);
  const isRivals = (post: OwnPost) =>
    rivals.some((rival) => mayBecome(rival.body, withLinksOf(rival.body, post.text)));
  const timed = free.flatMap((post) =>
    post.at === null || isRivals(post)
      ? []
      : [{ id: post.id, chatId: null, text: withLinksOf(text, post.text), at: post.at }],
  );
  const proof = proofByText(text, attemptedAt, timed).map(({ messageId }) => proofBy(free, messageId));
  const proved = new Set(proof.map(({ messageId }) => messageId));
  return { proof, candidates: recent.map(({ id }) => id).filter((id) => !proved.has(id)) };
}

function proofBy(posts: OwnPost[], id: string): Finding['proof'][number] {
  const permalink = posts.find((post) => post.id === id)?.permalink;
  return { messageId: id, ...(permalink && { result: { permalink } }) };
}

const link = /https?:\/\/\S+|lnkd\.in\/\S+/g;

/** Replaces each link that LinkedIn shortened by the original link at the same position. */
function withLinksOf(wanted: string, seen: string): string {
  const links = wanted.match(link) ?? [];
  if (links.length !== seen.match(link)?.length) return seen;
  let position = 0;
  return seen.replace(link, (shown) => {
    const original = links[position++] ?? shown;
    return /^(https?:\/\/)?lnkd\.in\//.test(shown) ? original : shown;
  });
}

function belongsTo(post: OwnPost, { postId, permalink }: OtherRow): boolean {
  if (postId === null) return false;
  const names = [postId, ...numbersOf(postId), ...numbersOf(permalink ?? '')];
  return (
    names.some((name) => post.names.includes(name)) || (permalink !== null && permalink === post.permalink)
  );
}
