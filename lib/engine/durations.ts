/** Buckets for each power of two. Durations in one bucket differ by at most 3 %. */
const bucketsPerOctave = 32;

/** A histogram of durations in milliseconds. Adding a duration and reading a quantile take the same time for any number of durations. */
export class Durations {
  private readonly buckets: { count: number; sumMs: number }[] = [];
  private count = 0;

  add(ms: number): void {
    const index = ms < 1 ? 0 : 1 + Math.floor(Math.log2(ms) * bucketsPerOctave);
    for (let n = this.buckets.length; n <= index; n++) this.buckets.push({ count: 0, sumMs: 0 });
    const bucket = this.buckets[index] as { count: number; sumMs: number };
    bucket.count++;
    bucket.sumMs += ms;
    this.count++;
  }

  /** The mean of the bucket that holds the quantile, in whole milliseconds; null without durations. */
  quantile(share: number): number | null {
    let left = Math.max(1, Math.ceil(share * this.count));
    for (const { count, sumMs } of this.buckets) {
      left -= count;
      if (count > 0 && left <= 0) return Math.round(sumMs / count);
    }
    return null;
  }
}
