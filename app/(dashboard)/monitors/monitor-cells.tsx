import type { Trouble } from '@/components/troubles.ts';
import { uptimeText, uptimeTone } from '@/components/uptime-text.ts';
import type { MonitorSummary } from '@/lib/store/monitoring.ts';
import { isAway, monitorNotes } from './monitor-notes.ts';

type Of = { monitor: MonitorSummary };

const NOTE_TONES: Record<Trouble['tone'], string> = {
  wait: 'text-muted',
  warn: 'text-warn',
  bad: 'text-bad',
};

/** Draws a monitor's name, with its address and interval as tooltip. */
export function MonitorName({ monitor: { name, url, criticality, interval_seconds } }: Of) {
  return (
    <span
      title={`${url}, every ${interval_seconds} s`}
      className="inline-flex flex-wrap items-baseline gap-x-2 wrap-anywhere"
    >
      <span className="font-medium">{name}</span>
      {criticality !== 'normal' && <span className="text-xs text-muted">{criticality}</span>}
    </span>
  );
}

export function MonitorNotes({ monitor }: Of) {
  const notes = monitorNotes(monitor);
  if (notes.length === 0) return null;
  return (
    <ul>
      {notes.map(({ tone, text }) => (
        <li key={text} className={`wrap-anywhere first-letter:uppercase ${NOTE_TONES[tone]}`}>
          {text}
        </li>
      ))}
    </ul>
  );
}

export function MonitorRegion({ monitor }: Of) {
  const away = isAway(monitor);
  return (
    <span
      title={away ? `Its home region is ${monitor.home_region}.` : undefined}
      className={away ? 'text-warn' : ''}
    >
      {monitor.region}
    </span>
  );
}

export function Uptime({ share }: { share: number | null }) {
  return <span className={`whitespace-nowrap ${uptimeTone(share)}`}>{uptimeText(share)}</span>;
}

/** Draws the uptime of all three spans on one line. */
export function Uptimes({ monitor: { uptime } }: Of) {
  const spans = [
    ['24 h', uptime.day],
    ['7 d', uptime.week],
    ['30 d', uptime.month],
  ] as const;
  return (
    <span className="inline-flex flex-wrap gap-x-2">
      <span className="sr-only">Up: </span>
      {spans.map(([span, share]) => (
        <span key={span} className="whitespace-nowrap">
          <span className="text-xs text-muted">{span}</span> <Uptime share={share} />
        </span>
      ))}
    </span>
  );
}
