/** The page's surroundings, which tests replace. */
export interface PulseHost {
  /** Reads the pulse. Rejects with a message for people. */
  ask(): Promise<string>;
  /** Has the server render the page that is shown, and returns at once. */
  refresh(): void;
  /** Tells the browser's other tabs what the pulse is. */
  share(pulse: string): void;
  isHidden(): boolean;
  onAnswer(): void;
  onFailure(message: string): void;
}

/** A little above 10 s, so that no hour has more than 360 calls, whenever it begins. */
export const everyMsByDefault = 10_100;
/** While an action of a person runs, its page shows the progress. */
const actingEveryMs = 3_000;
const idleAfterMs = 180_000;
/** A little above 60 s, for at most 60 calls. */
const idleEveryMs = 60_600;
/** Silence changes no pulse: a schedule that stopped shows only when the page is rendered anew. */
const refreshAfterMs = 300_000;

/**
 * Asks for the pulse every `everyMs`, every 60 s after three minutes without a hand, and never while the page is hidden. If the pulse changes, the
 * page is rendered anew. That is a second call, so the next one comes after twice the time: at most 360 calls an hour, and 60 when left alone. While
 * an action runs, it asks every 3 s.
 *
 * `seen` is the pulse that the page was rendered with; null if there was none.
 */
export function startPulse(host: PulseHost, { everyMs, seen }: { everyMs: number; seen: string | null }) {
  let pulse = seen;
  let touchedAt = Date.now();
  let renderedAt = Date.now();
  let askedAt = Date.now();
  /** Calls of the latest round: 1, or 2 with a rendering. */
  let calls = 1;
  let isAsking = false;
  let timer: ReturnType<typeof setTimeout> | undefined;

  function schedule(): void {
    clearTimeout(timer);
    if (isAsking || host.isHidden()) return;
    const active = isActing(pulse) ? Math.min(everyMs, actingEveryMs) : everyMs;
    const every = Date.now() - touchedAt >= idleAfterMs ? Math.max(everyMs, idleEveryMs) : active;
    timer = setTimeout(() => void beat(), Math.max(0, askedAt + every * calls - Date.now()));
  }

  async function beat(): Promise<void> {
    isAsking = true;
    askedAt = Date.now();
    calls = 1;
    try {
      const answer = await host.ask();
      host.share(answer);
      hear(answer);
    } catch (error) {
      host.onFailure((error as Error).message);
    }
    isAsking = false;
    schedule();
  }

  function hear(answer: string): void {
    const isOld = Date.now() - renderedAt >= refreshAfterMs;
    if (answer !== pulse || isOld) {
      renderedAt = Date.now();
      calls++;
      host.refresh();
    }
    pulse = answer;
    host.onAnswer();
  }

  schedule();
  return {
    /** The page was rendered anew with this pulse, by `refresh` or by an act of the person. */
    rendered(seen: string | null): void {
      if (seen === null || seen === pulse) return;
      pulse = seen;
      renderedAt = Date.now();
      schedule();
    },
    /** A person is at the page: it was shown, focused, or touched. */
    touch(): void {
      const wasIdle = Date.now() - touchedAt >= idleAfterMs;
      touchedAt = Date.now();
      if (wasIdle) schedule();
    },
    /** The page was shown or hidden. */
    turn(): void {
      if (!host.isHidden()) touchedAt = Date.now();
      schedule();
    },
    /** Another tab has asked. */
    heard(answer: string): void {
      if (isAsking || host.isHidden()) return;
      askedAt = Date.now();
      calls = 0;
      hear(answer);
      calls = Math.max(1, calls);
      schedule();
    },
    stop(): void {
      clearTimeout(timer);
    },
  };
}

/** Whether the pulse names an action that runs: see `readPulse`. */
function isActing(pulse: string | null): boolean {
  return pulse?.includes('"actions":{"') ?? false;
}
