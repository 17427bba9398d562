import { Skeleton } from './shell/part.tsx';

/** Draws the outline of a page while it is read. */
export default function Loading() {
  return (
    <>
      <Skeleton height="h-14" />
      <Skeleton height="h-72" />
    </>
  );
}
