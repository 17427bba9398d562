/** HTTP statuses as codes and ranges: `200-299,301`. */
type StatusRanges = [first: number, last: number][];

/** Parses a list of codes and ranges. Returns null if the text is not one. */
export function readStatuses(text: string): StatusRanges | null {
  const ranges: StatusRanges = [];
  for (const part of text.split(',')) {
    const [, from, to] = /^\s*([1-9]\d\d)(?:-([1-9]\d\d))?\s*$/.exec(part) ?? [];
    if (from === undefined || Number(to ?? from) < Number(from)) return null;
    ranges.push([Number(from), Number(to ?? from)]);
  }
  return ranges;
}

export const isExpectedStatus = (status: number, ranges: StatusRanges): boolean =>
  ranges.some(([first, last]) => status >= first && status <= last);
