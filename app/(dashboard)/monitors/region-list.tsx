import { RelativeTime } from '@/components/time/relative-time';
import type { Region } from '@/lib/store/monitoring';

/** Where checks are made from. */
export function RegionList({ regions }: { regions: Region[] }) {
  return (
    <section aria-labelledby="regions">
      <h3 id="regions" className="font-semibold">
        Regions
      </h3>
      <ul className="mt-2 grid gap-3 sm:grid-cols-[repeat(auto-fit,minmax(15rem,1fr))]">
        {regions.map((region) => (
          <li key={region.name} className="rounded-lg border border-line px-3.5 py-2.5">
            <p className="flex flex-wrap items-baseline justify-between gap-x-3">
              <span className="font-medium">
                {region.name}
                {region.is_default && (
                  <span
                    title="Monitors go here whose own region cannot check them."
                    className="ml-2 text-xs font-normal text-muted"
                  >
                    default
                  </span>
                )}
              </span>
              <Health region={region} />
            </p>
            {region.reason && region.last_tick_at !== null && (
              <p className="wrap-anywhere text-warn first-letter:uppercase">{region.reason}</p>
            )}
            <p className="text-muted">
              <span title="checked from here now" className="text-ink">
                {region.monitors} {region.monitors === 1 ? 'monitor' : 'monitors'}
              </span>
              {region.homes !== region.monitors && (
                <span title="that belong here while it is healthy">, home of {region.homes}</span>
              )}
              {region.last_tick_at ? (
                <>
                  , last tick <RelativeTime at={region.last_tick_at} />
                </>
              ) : (
                ', never ticked'
              )}
            </p>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** One that nobody ever used is nothing to worry about. */
function Health({ region: { is_healthy, last_tick_at } }: { region: Region }) {
  if (is_healthy) return <span className="text-good">healthy</span>;
  return last_tick_at === null ? (
    <span className="text-muted">not used</span>
  ) : (
    <span className="font-medium text-warn">not healthy</span>
  );
}
