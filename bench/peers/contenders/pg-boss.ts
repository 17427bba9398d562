import { PgBoss } from 'pg-boss';
import { addInChunks, type Contender, type Servers } from './contender.ts';

/** `fetch` and `complete` by hand, `lanes` at a time: its fastest way. */
export async function pgBoss(
  { databaseUrl }: Servers,
  { name, batch, lanes }: { name: string; batch: number; lanes: number },
): Promise<Contender> {
  const boss = new PgBoss({
    connectionString: databaseUrl,
    schema: `boss_${name.toLowerCase().replace(/\W+/g, '_')}`,
    supervise: false,
    schedule: false,
  });
  boss.on('error', () => {});
  await boss.start();
  await boss.createQueue('bench');
  return {
    name,
    guarantees: 'at least once',
    enqueue: (count) =>
      addInChunks(
        count,
        5_000,
        (n) => ({ data: { n } }),
        (jobs) => boss.insert('bench', jobs),
      ),
    async drain(count, handler) {
      let left = count;
      const lane = async () => {
        while (left > 0) {
          const jobs = await boss.fetch('bench', { batchSize: batch });
          if (jobs.length === 0) return;
          await Promise.all(jobs.map(async () => handler()));
          await boss.complete(
            'bench',
            jobs.map(({ id }) => id),
          );
          left -= jobs.length;
        }
      };
      await Promise.all(Array.from({ length: lanes }, lane));
    },
    close: () => boss.stop({ graceful: false }),
  };
}
