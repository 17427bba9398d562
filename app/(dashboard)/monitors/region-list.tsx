import { Section } from '@/components/section.tsx';
import { RelativeTime } from '@/components/time/relative-time.tsx';
import type { Region } from '@/lib/store/monitoring.ts';

/** Draws the regions that check monitors, and their health. */
export function RegionList({ regions }: { regions: Region[] }) {
  return (
    <Section id="regions" heading="Regions">
      <ul className="grid gap-3 sm:grid-cols-[repeat(auto-fit,minmax(15rem,1fr))]">
        {regions.map((region) => (
          <li key={region.name} className="rounded-lg border border-line px-3.5 py-2.5">
            <p className="flex flex-wrap items-baseline justify-between gap-x-3">
              <span className="font-medium">
                {region.name}
                {region.is_default && (
                  <span className="ml-2 text-xs font-normal text-muted">
                    default: checks what other regions cannot
                  </span>
                )}
              </span>
              <Health region={region} />
            </p>
            {region.reason && region.last_tick_at !== null && (
              <p className="wrap-anywhere text-warn first-letter:uppercase">{region.reason}</p>
            )}
            <p className="text-muted">
              checks{' '}
              <span className="text-ink">
                {region.monitors} {region.monitors === 1 ? 'monitor' : 'monitors'}
              </span>
              {region.homes !== region.monitors && <>, home of {region.homes}</>}
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
    </Section>
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
