import { RelativeTime } from '@/components/time/relative-time.tsx';
import type { Region } from '@/lib/store/monitoring.ts';

/** Draws the regions that check monitors, and their health. */
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
                    title="It checks monitors that their own region cannot check."
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
              <span title="monitors that this region checks now" className="text-ink">
                {region.monitors} {region.monitors === 1 ? 'monitor' : 'monitors'}
              </span>
              {region.homes !== region.monitors && (
                <span title="monitors that belong to this region, which checks them while it is healthy">
                  , home of {region.homes}
                </span>
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

/** Draws a region's health. A region that was never used is not a problem. */
function Health({ region: { is_healthy, last_tick_at } }: { region: Region }) {
  if (is_healthy) return <span className="text-good">healthy</span>;
  return last_tick_at === null ? (
    <span className="text-muted">not used</span>
  ) : (
    <span className="font-medium text-warn">not healthy</span>
  );
}
