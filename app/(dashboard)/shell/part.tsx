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

/** Most reads take less. A skeleton stays for 300 ms once it is drawn, which would make every page slower than its reads. */
const patienceMs = 100;

/** Draws a part of a page once it is read, and a skeleton if that takes long. If it fails, it says why, and the other parts stay. */
export async function Part<T>({ read, height, children }: PartProps<T>) {
  const reading = outcomeOf(read);
  const early = await Promise.race([reading, pass(patienceMs)]);
  if (early) return <Read outcome={early}>{children}</Read>;
  return (
    <Suspense fallback={<Skeleton height={height} />}>
      <Read outcome={reading}>{children}</Read>
    </Suspense>
  );
}

type Outcome<T> = { value: T } | { problem: string };

async function outcomeOf<T>(read: () => Promise<T>): Promise<Outcome<T>> {
  try {
    return { value: await read() };
  } catch (error) {
    unstable_rethrow(error);
    return { problem: await errorMessage(error) };
  }
}

const pass = (ms: number) => new Promise<null>((resolve) => setTimeout(resolve, ms, null));

interface ReadProps<T> {
  outcome: Outcome<T> | Promise<Outcome<T>>;
  children: (value: T) => ReactNode;
}

async function Read<T>({ outcome, children }: ReadProps<T>) {
  const result = await outcome;
  return 'problem' in result ? <ReadErrorNotice message={result.problem} /> : children(result.value);
}

/** Holds the place of a part that is being read. */
export function Skeleton({ height }: { height: string }) {
  return (
    <div aria-hidden="true" className={`animate-pulse rounded-xl border border-line bg-sunken ${height}`} />
  );
}
