import { RandomStream } from '../simulation/random.ts';

/** Returns the random numbers of a run's kills, from a new seed or from KILL_SEED. */
export function randomKills(): () => number {
  const seed = process.env.KILL_SEED ?? String(Math.floor(Math.random() * 2 ** 31));
  console.log(`KILL_SEED=${seed}`);
  return new RandomStream(seed).next;
}
