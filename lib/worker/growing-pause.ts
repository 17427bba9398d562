const firstMs = 1_000;
const longestMs = 60_000;

/** Returns the pauses after consecutive failures, in milliseconds: 1 s, then twice as long each time, up to 60 s. */
export function growingPause(): { next(): number; reset(): void } {
  let ms = firstMs;
  return {
    next() {
      const pauseMs = ms;
      ms = Math.min(longestMs, ms * 2);
      return pauseMs;
    },
    reset() {
      ms = firstMs;
    },
  };
}
