import type { ComponentType } from 'react';
import { clockTime } from '@/components/time/clock-time.ts';
import { RelativeTime } from '@/components/time/relative-time.tsx';
import { useServerNow } from '@/components/time/server-now.tsx';
import { shortDuration } from '@/lib/stats/short-duration.ts';
import type { Incident } from '@/lib/store/monitoring.ts';

/** Lists open incidents: what is down, since when, why, and from which regions. */
export function OpenIncidents({ incidents, more }: { incidents: Incident[]; more: boolean }) {
  return (
    <section aria-labelledby="open-incidents">
      <h3 id="open-incidents" className="font-semibold">
        Open incidents
      </h3>
      {incidents.length === 0 && <p className="mt-2 text-good">None.</p>}
      <Incidents incidents={incidents} tone="text-bad" Duration={OpenFor} />
      {more && (
        <p className="mt-2 text-muted">Only the latest are shown. GET /api/incidents?open=true lists all.</p>
      )}
    </section>
  );
}

/** Lists incidents that closed recently, and how long each lasted. */
export function ClosedIncidents({ incidents }: { incidents: Incident[] }) {
  return (
    <section aria-labelledby="closed-incidents">
      <h3 id="closed-incidents" className="font-semibold">
        Recently closed
      </h3>
      {incidents.length === 0 && <p className="mt-2 text-muted">None yet.</p>}
      <Incidents incidents={incidents} tone="text-muted" Duration={WasDown} />
    </section>
  );
}

interface IncidentsProps {
  incidents: Incident[];
  /** The text colour of the cause. */
  tone: string;
  Duration: ComponentType<{ incident: Incident }>;
}

function Incidents({ incidents, tone, Duration }: IncidentsProps) {
  if (incidents.length === 0) return null;
  return (
    <ul className="mt-2 divide-y divide-line border-y border-line">
      {incidents.map((incident) => (
        <li key={incident.id} className="py-1.5">
          <p className="flex flex-wrap items-baseline justify-between gap-x-3">
            <span title={incident.url} className="font-medium wrap-anywhere">
              {incident.monitor}
            </span>
            <Duration incident={incident} />
          </p>
          <Cause incident={incident} tone={tone} />
        </li>
      ))}
    </ul>
  );
}

function WasDown({ incident: { seconds, closed_at } }: { incident: Incident }) {
  return (
    <span>
      was down {shortDuration(seconds)}
      {closed_at && (
        <span className="text-muted">
          , closed <RelativeTime at={closed_at} />
        </span>
      )}
    </span>
  );
}

function OpenFor({ incident: { started_at } }: { incident: Incident }) {
  const nowMs = useServerNow();
  return (
    <span className="whitespace-nowrap">
      down for <strong>{shortDuration((nowMs - Date.parse(started_at)) / 1_000)}</strong>
      <span className="text-muted">
        , since {/* In the browser's time zone, which the server does not know when it renders. */}
        <time dateTime={new Date(started_at).toISOString()} suppressHydrationWarning>
          {clockTime(started_at, nowMs)}
        </time>
      </span>
    </span>
  );
}

function Cause({ incident: { cause, regions }, tone }: { incident: Incident; tone: string }) {
  return (
    <p className={`wrap-anywhere ${tone}`}>
      <span className="inline-block first-letter:uppercase">{cause ?? 'No cause is known'}</span>
      <span className="text-muted"> · seen from {regions.join(', ')}</span>
    </p>
  );
}
