import { unstable_rethrow } from 'next/navigation';
import { type ReactNode, Suspense } from 'react';
import { ReadErrorNotice } from '@/components/read-error-notice.tsx';
import { errorMessage } from '@/lib/http/error-response.ts';

interface PartProps<T> {
  read: () => Promise<T>;
  /** The class of the height that it usually has, so that nothing moves when it comes. */
  height: string;
  children: (value: T) => ReactNode;
}

/** Draws a part of a page once it is read. If that fails, it says why, and the other parts stay. */
export function Part<T>({ read, height, children }: PartProps<T>) {
  return (
    <Suspense fallback={<Skeleton height={height} />}>
      <Read read={read}>{children}</Read>
    </Suspense>
  );
}

async function Read<T>({ read, children }: Pick<PartProps<T>, 'read' | 'children'>) {
  const result = await read().then(
    (value) => ({ value }),
    async (error) => {
      unstable_rethrow(error);
      return { problem: await errorMessage(error) };
    },
  );
  return 'problem' in result ? <ReadErrorNotice message={result.problem} /> : children(result.value);
}

/** Holds the place of a part that is being read. */
export function Skeleton({ height }: { height: string }) {
  return (
    <div aria-hidden="true" className={`animate-pulse rounded-xl border border-line bg-sunken ${height}`} />
  );
}
