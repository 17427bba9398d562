/** Formats a share: `100 %`, `99.98 %`, or `–` if nothing was checked. Rounds down, so 100 % means never down. */
export function uptimeText(share: number | null): string {
  if (share === null) return '–';
  // 0.9999 * 10,000 is slightly less than 9,999.
  return `${Math.floor(share * 10_000 + 1e-6) / 100} %`;
}

export function uptimeTone(share: number | null): string {
  if (share === null) return 'text-muted';
  if (share < 0.95) return 'text-bad';
  return share < 0.99 ? 'text-warn' : '';
}
