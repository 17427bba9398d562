import type { DemoAccount } from './demo-accounts.ts';
import { postText } from './demo-texts.ts';

/** An entry of `POST /api/posts`. */
export interface DemoPost {
  account_id: string;
  body: string;
  media_urls: string[];
  scheduled_for: string;
  idempotency_key: string;
}

export const postCount = 24;
/** Accounts with a lower daily limit publish nothing, because their limit is for messages. */
const smallLimit = 100;
/** Every fourth post has a picture. */
const pictureEvery = 4;
/** Posts that are due already, and posts that fall due within a minute. The rest fall due later. */
const [overdueCount, soonCount] = [16, 5];

/** Returns the demo's posts at `nowMs`, from each LinkedIn account in turn. Some have a picture that the sandbox serves. */
export function demoPosts(
  accounts: (DemoAccount & { id: string })[],
  sandbox: string,
  runId: string,
  nowMs: number,
): DemoPost[] {
  const authors = accounts.filter(
    ({ provider, daily_limit }) => provider === 'unipile' && daily_limit >= smallLimit,
  );
  return Array.from({ length: postCount }, (_, index) => {
    const author = authors[index % authors.length] as DemoAccount & { id: string };
    const reference = `${runId}-p${index + 1}`;
    return {
      account_id: author.id,
      body: postText(index, reference),
      media_urls: index % pictureEvery === 0 ? [`${sandbox}/media/picture-${index + 1}.png`] : [],
      scheduled_for: new Date(nowMs + dueInMs(index)).toISOString(),
      idempotency_key: `demo-${reference}`,
    };
  });
}

function dueInMs(index: number): number {
  if (index < overdueCount) return (index - overdueCount) * 2_000;
  if (index < overdueCount + soonCount) return (index - overdueCount + 1) * 10_000;
  return 90_000 + (index - overdueCount - soonCount) * 60_000;
}
