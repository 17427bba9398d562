import { PageLinks } from '@/components/lists/page-links.tsx';
import { Section } from '@/components/section.tsx';
import { readActs } from '../dal/activity.ts';
import { PageHeader } from '../shell/page-header.tsx';
import { Part } from '../shell/part.tsx';
import { oneOf } from '../shell/query.ts';
import { ActFilter } from './act-filter.tsx';
import { ActList } from './act-list.tsx';

export const metadata = { title: 'Activity' };

/** Answers: who changed what, and when? */
export default async function ActivityPage({ searchParams }: PageProps<'/activity'>) {
  const { by, queue, cursor } = oneOf(await searchParams);
  const filter = new URLSearchParams({ ...(by && { by }), ...(queue && { queue }) });
  const first = `/activity?${filter}`;
  return (
    <>
      <PageHeader title="Activity" above={[]} />
      <Section id="acts" heading="What people did, the latest first">
        <Part read={() => readActs({ by, queue, cursor })} height="h-screen">
          {({ items, next, names }) => (
            <>
              <ActFilter queues={[...names.words.keys()]} queue={queue} by={by} />
              <div>
                <ActList acts={items} names={names} />
                <PageLinks first={cursor ? first : null} next={next && `${first}&cursor=${next}`} />
              </div>
            </>
          )}
        </Part>
      </Section>
    </>
  );
}
