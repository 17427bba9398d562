const exact = new Intl.NumberFormat('en-US');
/** An estimate has no seven digits to be believed in: `1.2M`, `43.2K`. */
const rough = new Intl.NumberFormat('en-US', { notation: 'compact', maximumSignificantDigits: 3 });

/** A count; rounded and with `≈` where the database only estimates it. */
export function CountText({ of }: { of: { count: number; approximate: boolean } }) {
  if (!of.approximate) return exact.format(of.count);
  return (
    <span
      title={`About ${exact.format(of.count)}, by the database’s statistics; counted exactly up to 10,000.`}
      className="whitespace-nowrap"
    >
      <span aria-hidden="true">≈&#8201;</span>
      <span className="sr-only">about </span>
      {rough.format(of.count)}
    </span>
  );
}
