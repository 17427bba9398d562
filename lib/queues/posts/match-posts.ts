import type { Finding } from '../../engine/ports/queue-store';
import { numbersOf, type OwnPost } from '../../providers/unipile/unipile-posts';
import { candidateMs, matchByText } from '../dm-queue/match-messages';

/** Another row of the account, which may be where a post in its list comes from. */
export interface OtherRow {
  body: string;
  /** Null where the provider gave none, or nobody knows whether it is out. */
  postId: string | null;
  permalink: string | null;
}

/** How far back a post may be of the attempt all the same: a time made of "15h" is wrong by as much as that, and so are clocks and zones. */
export const postCandidateMs = 24 * 3_600_000;

/**
 * Which of the account's own posts are what an attempt of `text`, begun at `attemptedAt`, left behind. As with messages the same text since
 * the attempt is; beyond that any post from a day before the attempt on that no other row bears may be, for a network shortens links and
 * cuts texts: posts are few, and a second one cannot be taken back.
 *
 * A post has several ids, and a row may bear another one than the list shows. So rows are told by all of them, and a post is another row's
 * only by an id. A row that bears none of the list's, and whose text may have become the post's, leaves only doubt.
 */
export function matchPosts(
  text: string,
  attemptedAt: string,
  posts: OwnPost[],
  others: OtherRow[],
): Pick<Finding, 'proof' | 'candidates'> {
  const begunAt = Date.parse(attemptedAt);
  const free = posts.filter((post) => !post.isRepost && !others.some((other) => isBorneBy(post, other)));
  const rivals = others.filter((other) => !posts.some((post) => isBorneBy(post, other)));

  const judged = matchByText(
    text,
    attemptedAt,
    free.map((post) => seenAs(post, text, begunAt)),
  );
  const strangers = free.filter(
    (post) => post.at === null || Date.parse(post.at) >= begunAt - postCandidateMs,
  );
  const isProof = ({ messageId }: { messageId: string }) => {
    const seen = free.find((post) => post.id === messageId)?.text ?? '';
    return !rivals.some((rival) => mayBecome(rival.body, seen));
  };
  const proof = judged.proof.filter(isProof).map(({ messageId }) => proofBy(free, messageId));
  const candidates = [
    ...judged.proof.map(({ messageId }) => messageId),
    ...judged.candidates,
    ...strangers.map(({ id }) => id),
  ];
  const proved = new Set(proof.map(({ messageId }) => messageId));
  return { proof, candidates: [...new Set(candidates)].filter((id) => !proved.has(id)) };
}

function proofBy(posts: OwnPost[], id: string): Finding['proof'][number] {
  const permalink = posts.find((post) => post.id === id)?.permalink;
  return { messageId: id, ...(permalink && { result: { permalink } }) };
}

/** One whose time is not known, or may be wrong by hours, proves nothing: it stands where only doubt is. */
function seenAs(post: OwnPost, text: string, begunAt: number) {
  const earliest = begunAt - candidateMs;
  const told = post.at === null ? earliest : Date.parse(post.at);
  const at = told < earliest && told >= begunAt - postCandidateMs ? earliest : told;
  return { id: post.id, chatId: null, text: withLinksOf(text, post.text), at: new Date(at).toISOString() };
}

const link = /https?:\/\/\S+|lnkd\.in\/\S+/g;

/** LinkedIn shortens links: each of its own stands for the one in its place. */
function withLinksOf(wanted: string, seen: string): string {
  const links = wanted.match(link) ?? [];
  if (links.length !== seen.match(link)?.length) return seen;
  let place = 0;
  return seen.replace(link, (shown) => {
    const original = links[place++] ?? shown;
    return /^(https?:\/\/)?lnkd\.in\//.test(shown) ? original : shown;
  });
}

function isBorneBy(post: OwnPost, { postId, permalink }: OtherRow): boolean {
  if (postId === null) return false;
  const names = [postId, ...numbersOf(postId), ...numbersOf(permalink ?? '')];
  return (
    names.some((name) => post.names.includes(name)) || (permalink !== null && permalink === post.permalink)
  );
}

const anyInstant = new Date(0).toISOString();

/** What a network may have made of one text, by the other as it is seen: the same, or cut and marked up. */
function seenAsOther(one: string, seen: string) {
  return matchByText(one, anyInstant, [
    { id: 'other', chatId: null, text: withLinksOf(one, seen), at: anyInstant },
  ]);
}

function mayBecome(body: string, seen: string): boolean {
  const { proof, candidates } = seenAsOther(body, seen);
  return proof.length + candidates.length > 0;
}
