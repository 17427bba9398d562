import { checkSame } from '../check.ts';
import { until } from '../page.ts';
import type { OwnStack } from './own-stack.ts';

/** Creates more jobs than one tick claims. A continuation, which Next's `after` starts, does the rest at once. */
export async function checkContinuations(stack: OwnStack): Promise<void> {
  const jobs = Array.from({ length: 45 }, () => ({ name: 'count-words', payload: { text: 'a b' } }));
  await stack.api('/api/jobs', jobs);
  const { runId } = (await stack.tick('jobs?partition=default')).reports[0];
  let ticks: string[] = [];
  const areOver = async () => {
    const read = await stack.api('/api/queues/jobs/ticks?limit=20');
    ticks = read.ticks
      .filter((one: { run_id: string }) => one.run_id === runId)
      .map((one: { continuation: number; done: number }) => `${one.continuation}:${one.done}`);
    return `${ticks}` === '1:15,0:30';
  };
  await until(areOver);
  checkSame('a continuation does at once the rows that a tick leaves', ticks, ['1:15', '0:30']);
}
