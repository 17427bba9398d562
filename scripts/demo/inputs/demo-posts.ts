import type { DemoAccount } from './demo-accounts';
import { postText } from './demo-texts';

/** A post as `POST /api/posts` takes it. */
export interface DemoPost {
  account_id: string;
  body: string;
  media_urls: string[];
  scheduled_for: string;
  idempotency_key: string;
}

export const postCount = 24;
/** An account whose cap is lower than this publishes nothing: its cap is for showing what it does to messages. */
const smallCap = 100;
/** Every so many has a picture. */
const pictureEvery = 4;
/** Due already, within the next minute, and the rest later. */
const [overdueCount, soonCount] = [16, 5];

/** What the demo publishes: posts of the LinkedIn accounts in turn, some with a picture of the sandbox's. At `nowMs`. */
export function demoPosts(
  accounts: (DemoAccount & { id: string })[],
  sandbox: string,
  runId: string,
  nowMs: number,
): DemoPost[] {
  const authors = accounts.filter(
    ({ provider, daily_limit }) => provider === 'unipile' && daily_limit >= smallCap,
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
