import { redirect } from 'next/navigation';
import { queueHref } from '@/components/link.ts';
import { Section } from '@/components/section.tsx';
import { readFound } from '../dal/find.ts';
import { PageHeader } from '../shell/page-header.tsx';
import { Part } from '../shell/part.tsx';
import { oneOf } from '../shell/query.ts';
import { FoundList } from './found-list.tsx';

export const metadata = { title: 'Find' };

/** Finds a row of any queue. A single hit is shown at once. */
export default async function FindPage({ searchParams }: PageProps<'/find'>) {
  const text =
    oneOf(await searchParams)
      .q?.trim()
      .slice(0, 500) ?? '';
  const read = async () => {
    const found = text === '' ? [] : await readFound(text);
    const [only] = found;
    if (only && found.length === 1) redirect(queueHref(only.queue, `/rows/${encodeURIComponent(only.id)}`));
    return found;
  };
  return (
    <>
      <PageHeader title="Find" above={[]} />
      <Section id="found" heading={text === '' ? 'Search for a row' : `Rows with “${text}”`}>
        <Part read={read} height="h-40">
          {(found) => <FoundList found={found} />}
        </Part>
      </Section>
    </>
  );
}
