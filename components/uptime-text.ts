/** `100 %`, `99.98 %`, `–` where nothing was checked. Rounded down: what failed once was not up all the time. */
export function uptimeText(share: number | null): string {
  if (share === null) return '–';
  // 0.9999 * 10,000 is a little less than 9,999.
  return `${Math.floor(share * 10_000 + 1e-6) / 100} %`;
}

export function uptimeTone(share: number | null): string {
  if (share === null) return 'text-muted';
  if (share < 0.95) return 'text-bad';
  return share < 0.99 ? 'text-warn' : '';
}
