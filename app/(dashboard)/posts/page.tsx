import Link from 'next/link';
import { SECONDARY_BUTTON } from '@/components/acts/confirm-buttons.tsx';
import { LINK, queueHref } from '@/components/link.ts';
import { Section } from '@/components/section.tsx';
import { readQueue, readRows } from '../dal/queues.ts';
import { PageHeader } from '../shell/page-header.tsx';
import { Part } from '../shell/part.tsx';
import { oneOf } from '../shell/query.ts';
import { Calendar } from './calendar.tsx';
import { monthOf, postOf } from './month.ts';

export const metadata = { title: 'Posts' };

/** The most posts that each of the lists reads. */
const limit = '200';

/** Answers: what is scheduled, and what went out? */
export default async function PostsPage({ searchParams }: PageProps<'/posts'>) {
  const month = monthOf(oneOf(await searchParams).month, Date.now());
  const { from, to } = month;
  const read = async () => {
    const { queue, now } = await readQueue('posts');
    const { pending, running, done, dead, unknown } = queue.words;
    const due = { due_from: from, due_to: to, limit };
    const lists = await Promise.all([
      readRows('posts', { status: pending, sort: 'due', ...due }),
      readRows('posts', { status: running, ...due }),
      readRows('posts', {
        status: `${done},${dead},${unknown}`,
        ...{ sort: 'finished', finished_from: from, finished_to: to, limit },
      }),
    ]);
    const posts = lists.flatMap(({ items }) => items).flatMap((row) => postOf(row) ?? []);
    return { posts, words: queue.words, now, hasMore: lists.some(({ next }) => next !== null) };
  };
  return (
    <>
      <PageHeader title="Posts" above={[]} />
      <Section
        id="calendar"
        heading={month.title}
        aside={<p className="text-muted">Days and times are UTC</p>}
      >
        <nav aria-label="Months" className="flex gap-2">
          {[month.before, month.after].map((name, n) => (
            <Link
              key={name}
              href={`/posts?month=${name}`}
              prefetch={false}
              className={`inline-flex items-center ${SECONDARY_BUTTON}`}
            >
              {n === 0 ? 'Previous month' : 'Next month'}
            </Link>
          ))}
        </nav>
        <Part read={read} height="h-96">
          {({ posts, words, now, hasMore }) => (
            <div>
              <Calendar month={month} posts={posts} words={words} today={now.slice(0, 10)} />
              {hasMore && (
                <p className="mt-3 text-muted">
                  This month has more posts than fit here.{' '}
                  <Link href={queueHref('posts', '/rows')} prefetch={false} className={LINK}>
                    All rows of posts
                  </Link>
                </p>
              )}
            </div>
          )}
        </Part>
      </Section>
    </>
  );
}
