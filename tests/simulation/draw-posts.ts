import type { RandomStream } from './random.ts';
import { day, feedOf, hour, type Intent, minute, type SimulatedAccount, type Span } from './world.ts';

/** Draws the posts of accounts on their own profiles, one in three with media. One world in seven has none. */
export function drawPosts(
  random: RandomStream,
  accounts: SimulatedAccount[],
  { startAt, quietAt }: Span,
): Intent[] {
  const able = accounts.filter(({ provider }) => provider === 'unipile').slice(0, 4);
  if (able.length === 0 || random.chance(1 / 7)) return [];
  const posts: Intent[] = [];
  const count = Math.round(random.between(10, 18) * ((quietAt - startAt) / day));
  for (let n = 0; n < count; n++) {
    const arrivesAt = Math.round(random.between(startAt, quietAt - 2 * hour));
    // The same text again, soon after.
    const twin = random.chance(0.08) ? posts.at(-1) : undefined;
    const account = twin?.account ?? random.pick(able);
    posts.push({
      arrivesAt: Math.max(arrivesAt, twin?.arrivesAt ?? 0),
      account,
      chatId: feedOf(account.provider_account_id),
      recipient: null,
      body: twin?.body ?? `post ${n} of ${account.name}: what we learnt this week`,
      sendAt: Math.round(arrivesAt + random.pick([0, 0, random.magnitude(1, 600) * minute])),
      priority: random.chance(0.85) ? 1 : random.integer(0, 3),
      expiresAt: random.chance(0.05) ? Math.round(arrivesAt + random.magnitude(1, 30) * hour) : null,
      idempotencyKey: random.chance(0.3) ? random.uuid() : null,
      mediaUrls: random.chance(0.33)
        ? Array.from({ length: random.integer(1, 3) }, (_, i) => `https://media.example/${n}/${i}`)
        : [],
    });
  }
  return posts.sort((a, b) => a.arrivesAt - b.arrivesAt);
}
