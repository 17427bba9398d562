import { uptimeText, uptimeTone } from '@/components/uptime-text.ts';
import type { MonitorSummary } from '@/lib/store/monitoring.ts';
import { isAway, type MonitorNote, monitorNotes } from './monitor-notes.ts';

type Of = { monitor: MonitorSummary };

const NOTE_TONES: Record<MonitorNote['tone'], string> = {
  wait: 'text-muted',
  warn: 'text-warn',
  bad: 'text-bad',
};

/** Draws a monitor's name, its address and how often it is checked. */
export function MonitorName({ monitor: { name, url, criticality, interval_seconds } }: Of) {
  return (
    <>
      <span className="inline-flex flex-wrap items-baseline gap-x-2 wrap-anywhere">
        <span className="font-medium">{name}</span>
        {criticality !== 'normal' && <span className="text-xs text-muted">{criticality}</span>}
      </span>
      <span className="block text-xs text-muted wrap-anywhere">
        {url.replace(/^https?:\/\//, '')}, every {interval_seconds} s
      </span>
    </>
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
  return <span className={isAway(monitor) ? 'text-warn' : ''}>{monitor.region}</span>;
}

export function Uptime({ share }: { share: number | null }) {
  return <span className={`whitespace-nowrap ${uptimeTone(share)}`}>{uptimeText(share)}</span>;
}
