import { requireQueue } from '../../dal/queues.ts';

/**
 * Answers 404 for a queue that does not exist. This has to be known before the first part of the page is sent, so no `loading.tsx` may stand above it:
 * the parts of a page have skeletons of their own.
 */
export default async function QueueLayout({ params, children }: LayoutProps<'/queues/[queue]'>) {
  await requireQueue((await params).queue);
  return children;
}
