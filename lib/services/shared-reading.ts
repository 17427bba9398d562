/** An answer that many ask for, and that is read for all of them at once. */
export interface SharedReading<T> {
  get(read: () => Promise<T>): Promise<T>;
  /** What was read is out of date: the next who asks has it read anew. */
  forget(): void;
}

/**
 * Reads once in `ms` milliseconds of `now` at most: whoever asks within them gets the same answer, be it still under way. One that fails is nobody's
 * but theirs who wait for it.
 */
export function sharedReading<T>(ms: number, now: () => number): SharedReading<T> {
  let latest: { at: number; answer: Promise<T> } | null = null;
  return {
    get(read) {
      if (latest && now() - latest.at < ms) return latest.answer;
      const reading = { at: now(), answer: read() };
      latest = reading;
      reading.answer.catch(() => {
        if (latest === reading) latest = null;
      });
      return reading.answer;
    },
    forget() {
      latest = null;
    },
  };
}
