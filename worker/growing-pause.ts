const firstMs = 1_000;
const longestMs = 60_000;

/** How long to wait after failures in a row, in milliseconds: a second, then twice as long each time, a minute at most. */
export function growingPause(): { next(): number; reset(): void } {
  let ms = firstMs;
  return {
    next() {
      const due = ms;
      ms = Math.min(longestMs, ms * 2);
      return due;
    },
    reset() {
      ms = firstMs;
    },
  };
}
