/** The route that tells of the queue's rows one by one; null for a queue that has none. */
export function rowsPath(queue: string): string | null {
  return queue === 'dm_queue' ? '/api/dms' : null;
}
