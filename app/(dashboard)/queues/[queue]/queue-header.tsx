import Link from 'next/link';
import type { ReactNode } from 'react';
import { queueHref } from '@/components/link.ts';
import { PageHeader } from '../../shell/page-header.tsx';

/** The pages of a queue, in order. */
export const queueTabs = [
  { title: 'Overview', path: '' },
  { title: 'Rows', path: '/rows' },
  { title: 'Errors', path: '/errors' },
  { title: 'Ticks', path: '/ticks' },
  { title: 'Settings', path: '/settings' },
] as const;

interface QueueHeaderProps {
  queue: string;
  /** The tab that is shown, or that the page is below. */
  tab: (typeof queueTabs)[number]['path'];
  title: string;
  /** The page is below the tab’s page. */
  isBelow?: boolean;
  aside?: ReactNode;
}

/** Draws the title of a page of a queue, and the tabs to the queue’s other pages. */
export function QueueHeader({ queue, tab, title, isBelow = false, aside }: QueueHeaderProps) {
  const above = tab === '' ? [] : [{ title: queue, href: queueHref(queue) }];
  const page = queueTabs.find(({ path }) => path === tab);
  if (isBelow && page) above.push({ title: page.title, href: queueHref(queue, tab) });
  return (
    <div className="grid gap-3">
      <PageHeader title={title} above={above} aside={aside} />
      <nav aria-label={`Pages of ${queue}`} className="overflow-x-auto border-b border-line">
        <ul className="flex">
          {queueTabs.map(({ title, path }) => (
            <li key={path}>
              <Link
                href={queueHref(queue, path)}
                prefetch={false}
                aria-current={path === tab ? 'page' : undefined}
                className="block min-h-9 px-3 py-2 text-muted hover:text-ink aria-[current=page]:font-semibold aria-[current=page]:text-ink aria-[current=page]:shadow-[inset_0_-2px_var(--accent)]"
              >
                {title}
              </Link>
            </li>
          ))}
        </ul>
      </nav>
    </div>
  );
}
