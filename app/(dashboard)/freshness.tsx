/** Says whether the figures below are current. */
export function Freshness({ failing }: { failing: boolean }) {
  return (
    <p role="status" className="inline-flex items-center gap-2 text-muted">
      <span aria-hidden="true" className={`size-2 rounded-full ${failing ? 'bg-warn-bar' : 'bg-good-bar'}`} />
      {failing ? 'Stale' : 'Live'}
    </p>
  );
}
