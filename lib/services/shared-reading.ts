/** A value that many callers read. One read serves all of them. */
export interface SharedReading<T> {
  get(read: () => Promise<T>): Promise<T>;
  /** Drops the value. The next call reads it again. */
  forget(): void;
}

/**
 * Makes a value that is read at most once in `ms` milliseconds of `now`. Calls within this time share the read, also while it is under way. A failed
 * read rejects only the calls that wait for it.
 */
export function sharedReading<T>(ms: number, now: () => number): SharedReading<T> {
  let latest: { at: number; value: Promise<T> } | null = null;
  return {
    get(read) {
      if (latest && now() - latest.at < ms) return latest.value;
      const reading = { at: now(), value: read() };
      latest = reading;
      reading.value.catch(() => {
        if (latest === reading) latest = null;
      });
      return reading.value;
    },
    forget() {
      latest = null;
    },
  };
}
