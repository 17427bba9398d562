const exact = new Intl.NumberFormat('en-US');
/** Estimates have at most three digits: `1.2M`, `43.2K`. */
const rough = new Intl.NumberFormat('en-US', { notation: 'compact', maximumSignificantDigits: 3 });

/** Draws a count. One that the database only estimates is rounded and marked with `≈`. Counts up to 10,000 are exact. */
export function CountText({ of }: { of: { count: number; approximate: boolean } }) {
  if (!of.approximate) return exact.format(of.count);
  return (
    <span className="whitespace-nowrap">
      <span aria-hidden="true">≈&#8201;</span>
      <span className="sr-only">about </span>
      {rough.format(of.count)}
    </span>
  );
}
