import { ProviderError } from '../../lib/net/http.ts';
import type { Media } from '../../lib/net/media.ts';
import { unipileMaxLateMs } from '../../lib/providers/unipile/unipile.ts';
import { numbersOf } from '../../lib/providers/unipile/unipile-posts.ts';
import type { PostProviders } from '../../lib/queues/posts/queue.ts';
import type { VirtualClock } from '../../lib/testing/virtual-clock.ts';
import type { Fate, Faults } from './faults.ts';
import { type ProviderMessage, type ProviderModel, shownAs } from './provider-model.ts';
import type { RandomStream } from './random.ts';
import type { SimulatedProcess } from './simulated-process.ts';
import { feedOf, hour, type World } from './world.ts';

/** The accounts' own feeds at Unipile, and the servers that hold the media. */
export class FeedModel {
  constructor(
    private readonly world: World,
    private readonly clock: VirtualClock,
    private readonly faults: Faults,
    private readonly random: RandomStream,
    private readonly provider: ProviderModel,
  ) {}

  portsOf(process: SimulatedProcess, fate: Fate): PostProviders {
    const { provider, random, faults } = this;
    return {
      unipileMaxLateMs,
      fetchMedia: (urls, signal) => this.fetchMedia(process, urls, signal),
      unipile: {
        createPost: async ({ accountId, text, media, signal }) => {
          const draft = { provider: 'unipile', form: 'post', recipient: null, reference: null } as const;
          const whole = { ...draft, accountId, chatId: feedOf(accountId), text, hasMedia: media.length > 0 };
          const post = await provider.send(
            process,
            fate,
            whole,
            signal,
            faults.ofPublish(accountId, media.length > 0),
          );
          return { postId: random.chance(0.03) ? null : namesOf(post).share };
        },
        readPost: ({ postId, signal }) =>
          provider.lookUp(process, fate, signal, () => {
            const post = provider.messages.find(
              (one) => one.form === 'post' && namesOf(one).share === postId,
            );
            if (!post) throw new Error(`no post was ever reported as ${postId}`);
            const { id, permalink } = namesOf(post);
            return { id, permalink };
          }),
        listOwnPosts: ({ accountId, since, signal }) =>
          provider.lookUp(process, fate, signal, () => {
            const own = provider
              .visible()
              .filter(({ form, accountId: other }) => form === 'post' && other === accountId)
              .map((post) => ({ ...namesOf(post), ...shownAs(post) }))
              .filter(({ saidAt }) => saidAt >= Date.parse(since));
            return {
              posts: own.map(({ id, names, text, saidAt, permalink }) => {
                return { id, names, text, permalink, at: new Date(saidAt).toISOString(), isRepost: false };
              }),
              complete: !faults.strikes(0.05, random, 'look-up: incomplete'),
            };
          }),
      },
    };
  }

  /** Has people write their own posts into the same feeds. */
  begin(): void {
    const { world, random } = this;
    if (world.posts.length === 0) return;
    let n = 0;
    const write = () => {
      if (this.clock.now() > world.quietAt) return;
      const { account } = random.pick(world.posts);
      const accountId = account.provider_account_id;
      const draft = { provider: 'unipile', form: 'post', recipient: null, reference: null } as const;
      const whole = { ...draft, accountId, chatId: feedOf(accountId), text: `written by hand ${n++}` };
      this.provider.write(whole, this.clock.now(), 0, { byHand: true });
      this.clock.timer(random.magnitude(3, 40) * hour, write);
    };
    this.clock.timer(random.between(1, 40) * hour, write);
  }

  private fetchMedia(process: SimulatedProcess, urls: string[], signal: AbortSignal): Promise<Media[]> {
    if (urls.length === 0) return Promise.resolve([]);
    const { random, clock } = this;
    const fault = this.faults.ofMedia();
    return new Promise((resolve, reject) => {
      const fail = (kind: 'not_sent' | 'rejected', message: string) =>
        reject(new ProviderError(message, { kind, provider: 'media' }));
      signal.addEventListener('abort', () => fail('not_sent', 'aborted'), { once: true });
      const bytes = new Uint8Array(1);
      const media = urls.map((_, n) => ({ contentType: 'image/png', fileName: `media-${n}.png`, bytes }));
      const respond = (ms: number, fn: () => void) => clock.timer(ms, () => process.receive('response', fn));
      // Stands for the engine's own limit of 12 s, which runs on the machine's clock and never passes here.
      if (fault === 'not in time') respond(12_000, () => fail('not_sent', 'it did not arrive in time'));
      else
        respond(random.magnitude(50, 8_000), () => {
          if (fault === 'not there') fail('rejected', 'media 1 answered 404');
          else if (fault === 'server down') fail('not_sent', 'media 1 answered 503');
          else resolve(media);
        });
    });
  }
}

/** LinkedIn has two ids for a post: one from its creation, one in lists. Half of the permalinks contain the first, half the second. */
function namesOf({ id }: ProviderMessage): {
  share: string;
  id: string;
  names: string[];
  permalink: string;
} {
  const number = Number(id.split('-').at(-1));
  const share = `urn:li:share:${7_000_000_000_000_000_000n + 2n * BigInt(number)}`;
  const activity = `urn:li:activity:${7_000_000_000_000_000_001n + 2n * BigInt(number)}`;
  const permalink = `https://www.linkedin.com/feed/update/${number % 2 === 0 ? share : activity}`;
  const names = [activity, ...numbersOf(activity), ...numbersOf(permalink)];
  return { share, id: activity, names: [...new Set(names)], permalink };
}
