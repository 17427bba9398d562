const units = [
  ['d', 86_400],
  ['h', 3_600],
  ['min', 60],
] as const;

/** Formats seconds by their two largest units, rounded down: `12 s`, `4 min 5 s`, `3 h 20 min`, `2 d 4 h`. */
export function shortDuration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  for (const [index, [unit, size]] of units.entries()) {
    if (whole < size) continue;
    const [smaller, smallerSize] = units[index + 1] ?? (['s', 1] as const);
    const rest = Math.floor((whole % size) / smallerSize);
    return rest === 0
      ? `${Math.floor(whole / size)} ${unit}`
      : `${Math.floor(whole / size)} ${unit} ${rest} ${smaller}`;
  }
  return `${whole} s`;
}

/** Formats milliseconds: `340 ms`, `1.2 s`, `4 min 5 s`. */
export function shortMs(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  return ms < 60_000 ? `${(ms / 1_000).toFixed(1)} s` : shortDuration(ms / 1_000);
}
