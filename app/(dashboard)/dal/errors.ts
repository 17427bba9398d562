import { cache } from 'react';
import { listErrorGroups, readErrorGroup } from '@/lib/operate/rows/error-groups.ts';
import type { ErrorGroup } from '@/lib/store/story/error-group.ts';
import { readCursor } from './read-cursor.ts';
import { orNotFound, visitedServices } from './visited.ts';

const groupsOnPage = 25;

/** Reads a page of a queue's error groups, the latest seen first. */
export async function readErrorGroups(queue: string, cursor?: string) {
  const { rpc } = await visitedServices();
  return orNotFound(() => listErrorGroups(rpc, queue, { limit: groupsOnPage, ...readCursor(cursor) }));
}

/** Reads the error groups of a queue that were seen last; null if they cannot be read. All parts of a page share one call. */
export const readLatestErrorGroups = cache(
  (queue: string): Promise<ErrorGroup[] | null> =>
    readErrorGroups(queue).then(
      ({ items }) => items,
      () => null,
    ),
);

/** Reads an error group with samples of its rows. */
export async function readGroup(queue: string, id: string) {
  const { rpc } = await visitedServices();
  return orNotFound(() => readErrorGroup(rpc, queue, id));
}
