/** Of each power of two so many: what falls into one differs by 3 % at most. */
const bucketsPerOctave = 32;

/** Durations in milliseconds, kept as counts of what is alike: adding one and asking for a quantile take the same time however many there are. */
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

  /** The mean of those that are about as long as the one at this share of them all; null where there is none. */
  quantile(share: number): number | null {
    let left = Math.max(1, Math.ceil(share * this.count));
    for (const { count, sumMs } of this.buckets) {
      left -= count;
      if (count > 0 && left <= 0) return Math.round(sumMs / count);
    }
    return null;
  }
}
