import type { Finding } from '../engine/queue';
import { numbersOf, type OwnPost } from '../providers/unipile-posts';
import { doubtMs, judgeMessages } from './judge-messages';

/** Another row of the account, which may be where a post in its list comes from. */
export interface OtherRow {
  published: boolean;
  body: string;
  /** Null where the provider gave none, or nobody knows whether it is out. */
  postId: string | null;
  permalink: string | null;
}

/** How far back a post with the same text may be of the attempt all the same: a time made of "15h" is wrong by as much as that. */
export const postDoubtMs = 24 * 3_600_000;

/**
 * Which of the account's own posts are what an attempt of `text`, begun at `attemptedAt`, left behind. As with messages the same text since
 * the attempt is; beyond that any post since the attempt that no other row explains may be, for a network shortens links and cuts texts:
 * posts are few, and a second one cannot be taken back.
 *
 * A post has several ids, and a row may bear another one than the list shows. So rows are told by all of them, and one that bears none of
 * the list's explains a post by its text; one with this same text leaves only doubt.
 */
export function judgePosts(
  text: string,
  attemptedAt: string,
  posts: OwnPost[],
  others: OtherRow[],
): Pick<Finding, 'proofs' | 'doubts'> {
  const begunAt = Date.parse(attemptedAt);
  const free = posts.filter((post) => !post.isRepost && !others.some((other) => isBorneBy(post, other)));
  const unseen = others.filter((other) => !posts.some((post) => isBorneBy(post, other)));
  const own = free.filter(
    (post) => !unseen.some((other) => !isSame(other.body, text) && isSame(other.body, post.text)),
  );

  const judged = judgeMessages(
    text,
    attemptedAt,
    own.map((post) => seenAs(post, text, begunAt)),
  );
  const strangers = own.filter((post) => post.at === null || Date.parse(post.at) >= begunAt - doubtMs);
  const shared = unseen.some((other) => other.published && isSame(other.body, text));
  const proofs = shared ? [] : judged.proofs.map(({ messageId }) => proofBy(own, messageId));
  const doubts = [
    ...judged.proofs.map(({ messageId }) => messageId),
    ...judged.doubts,
    ...strangers.map(({ id }) => id),
  ];
  const proved = new Set(proofs.map(({ messageId }) => messageId));
  return { proofs, doubts: [...new Set(doubts)].filter((id) => !proved.has(id)) };
}

function proofBy(posts: OwnPost[], id: string): Finding['proofs'][number] {
  const permalink = posts.find((post) => post.id === id)?.permalink;
  return { messageId: id, ...(permalink && { result: { permalink } }) };
}

/** One whose time is not known, or may be wrong by hours, proves nothing: it stands where only doubt is. */
function seenAs(post: OwnPost, text: string, begunAt: number) {
  const doubtful = begunAt - doubtMs;
  const told = post.at === null ? doubtful : Date.parse(post.at);
  const at = told < doubtful && told >= begunAt - postDoubtMs ? doubtful : told;
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
  const names = [postId, ...numbersOf(`${postId} ${permalink ?? ''}`)];
  return (
    names.some((name) => post.names.includes(name)) || (permalink !== null && permalink === post.permalink)
  );
}

const anyInstant = new Date(0).toISOString();

function isSame(one: string, other: string): boolean {
  const seen = { id: 'other', chatId: null, text: withLinksOf(one, other), at: anyInstant };
  return judgeMessages(one, anyInstant, [seen]).proofs.length > 0;
}
