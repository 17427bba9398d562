import type { Finding } from '../../engine/ports/queue-store.ts';
import { numbersOf, type OwnPost } from '../../providers/unipile/unipile-posts.ts';
import { candidateMs, matchByText } from '../dm-queue/match-messages.ts';

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

  const matched = matchByText(
    text,
    attemptedAt,
    free.map((post) => asMessage(post, text, begunAt)),
  );
  const recent = free.filter((post) => post.at === null || Date.parse(post.at) >= begunAt - postCandidateMs);
  const isProof = ({ messageId }: { messageId: string }) => {
    const seen = free.find((post) => post.id === messageId)?.text ?? '';
    return !rivals.some((rival) => mayBecome(rival.body, seen));
  };
  const proof = matched.proof.filter(isProof).map(({ messageId }) => proofBy(free, messageId));
  const candidates = [
    ...matched.proof.map(({ messageId }) => messageId),
    ...matched.candidates,
    ...recent.map(({ id }) => id),
  ];
  const proved = new Set(proof.map(({ messageId }) => messageId));
  return { proof, candidates: [...new Set(candidates)].filter((id) => !proved.has(id)) };
}

function proofBy(posts: OwnPost[], id: string): Finding['proof'][number] {
  const permalink = posts.find((post) => post.id === id)?.permalink;
  return { messageId: id, ...(permalink && { result: { permalink } }) };
}

/** Converts a post for `matchByText`. An unknown time, or one that may be wrong by hours, becomes a time that makes it a candidate and no proof. */
function asMessage(post: OwnPost, text: string, begunAt: number) {
  const earliest = begunAt - candidateMs;
  const listedAt = post.at === null ? earliest : Date.parse(post.at);
  const at = listedAt < earliest && listedAt >= begunAt - postCandidateMs ? earliest : listedAt;
  return { id: post.id, chatId: null, text: withLinksOf(text, post.text), at: new Date(at).toISOString() };
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

const anyInstant = new Date(0).toISOString();

/** Whether a network may have turned `body` into the seen text: the same, cut or marked up. */
function mayBecome(body: string, seen: string): boolean {
  const { proof, candidates } = matchByText(body, anyInstant, [
    { id: 'other', chatId: null, text: withLinksOf(body, seen), at: anyInstant },
  ]);
  return proof.length + candidates.length > 0;
}
