import { queueHref } from '@/components/link.ts';
import { readQueues } from '../dal/queues.ts';
import { railEntries } from '../shell/rail-entries.ts';
import { SearchBox } from './search-box.tsx';

const pages = railEntries
  .filter(({ hasQueues }) => !hasQueues)
  .map(({ title, href }) => ({ title, href, kind: 'page' }));

const pagesOfQueue = ['Errors', 'Settings', 'Ticks'];

/** Draws the search box with the pages and the queues that it offers. */
export async function Search() {
  const queues = await readQueues().then(
    (stats) => stats.queues.map(({ name }) => name),
    () => [],
  );
  return (
    <SearchBox
      places={[
        ...pages,
        ...queues.map((name) => ({ title: name, href: queueHref(name), kind: 'queue' })),
        ...queues.flatMap((name) =>
          pagesOfQueue.map((title) => ({
            title: `${name} ${title.toLowerCase()}`,
            href: queueHref(name, `/${title.toLowerCase()}`),
            kind: 'page',
          })),
        ),
      ]}
    />
  );
}
