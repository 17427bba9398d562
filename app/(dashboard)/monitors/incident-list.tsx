import type { ComponentType } from 'react';
import { Section } from '@/components/section.tsx';
import { ClockTime, RelativeTime } from '@/components/time/relative-time.tsx';
import { shortDuration } from '@/lib/stats/short-duration.ts';
import type { Incident } from '@/lib/store/monitoring.ts';

/** Lists open incidents: what is down, since when, why, and from which regions. */
export function OpenIncidents({ incidents, more }: { incidents: Incident[]; more: boolean }) {
  return (
    <Section id="open-incidents" heading="Open incidents">
      {incidents.length === 0 && <p className="text-good">None.</p>}
      <Incidents incidents={incidents} tone="text-bad" Duration={OpenFor} />
      {more && (
        <p className="text-muted">Only the latest are shown. GET /api/incidents?open=true lists all.</p>
      )}
    </Section>
  );
}

/** Lists incidents that closed recently, and how long each lasted. */
export function ClosedIncidents({ incidents }: { incidents: Incident[] }) {
  return (
    <Section id="closed-incidents" heading="Recently closed">
      {incidents.length === 0 && <p className="text-muted">None yet.</p>}
      <Incidents incidents={incidents} tone="text-muted" Duration={WasDown} />
    </Section>
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
    <ul className="-my-2 divide-y divide-line">
      {incidents.map((incident) => (
        <li key={incident.id} className="py-1.5">
          <p className="flex flex-wrap items-baseline justify-between gap-x-3">
            <span className="font-medium wrap-anywhere">{incident.monitor}</span>
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
  return (
    <span className="whitespace-nowrap">
      down for{' '}
      <strong>
        <RelativeTime at={started_at} as="age" />
      </strong>
      <span className="text-muted">
        , since <ClockTime at={started_at} />
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
