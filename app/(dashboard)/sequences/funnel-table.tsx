import type { Funnel } from '@/lib/store/conversations.ts';
import { type FunnelLine, funnelLines } from './enrolment-words.ts';

interface FunnelTableProps {
  funnel: Funnel;
  /** The sequence's name. */
  name: string;
}

/** Draws how many of the enrolled people got each step and its reminder, and how many replied to it. */
export function FunnelTable({ funnel, name }: FunnelTableProps) {
  return (
    <table aria-label={`Funnel of ${name}`} className="w-full border-collapse">
      <thead>
        <tr className="text-left text-xs text-muted *:border-b *:border-line *:py-2 *:font-normal *:whitespace-nowrap">
          <th scope="col">step</th>
          <th
            scope="col"
            className="pl-3 text-right"
            title="people who got the step, of all who were enrolled"
          >
            sent
          </th>
          <th scope="col" className="hidden w-[22%] pl-3 sm:table-cell">
            <span className="sr-only">share</span>
          </th>
          <th scope="col" className="pl-3 text-right" title="people who are at the step now">
            now
          </th>
          <th scope="col" className="pl-3 text-right" title="people who got its reminder">
            <span className="sm:hidden">rem.</span>
            <span className="hidden sm:inline">reminded</span>
          </th>
          <th scope="col" className="pl-3 text-right" title="people who replied to it">
            replied
          </th>
        </tr>
      </thead>
      <tbody>
        {funnelLines(funnel).map((line) => (
          <tr key={line.step} className="align-baseline *:border-t *:border-line *:py-1.5 first:*:border-t-0">
            <th scope="row" className="text-left font-normal">
              <Step line={line} />
              <div className="max-w-40 sm:hidden">
                <Bar share={line.sentShare} />
              </div>
            </th>
            <td className="pl-3 text-right tabular-nums">{line.sent.toLocaleString('en-US')}</td>
            <td className="hidden pl-3 align-top sm:table-cell">
              <Bar share={line.sentShare} />
            </td>
            <td className="pl-3 text-right tabular-nums">
              <Count of={line.at} />
            </td>
            <td className="pl-3 text-right tabular-nums">
              <Count of={line.reminded} />
            </td>
            <td className="pl-3 text-right whitespace-nowrap tabular-nums sm:pl-6">
              <Count of={line.replied} />
              <span className="hidden w-12 text-muted sm:inline-block">
                {line.repliedShare !== null &&
                  line.replied > 0 &&
                  ` ${Math.round(line.repliedShare * 100)} %`}
              </span>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Step({ line: { step, kind, body } }: { line: FunnelLine }) {
  return (
    <span className="line-clamp-2 wrap-anywhere" title={body ?? undefined}>
      {step}
      {kind === 'question' && (
        <span className="text-muted" title="a question">
          {' '}
          ?
        </span>
      )}{' '}
      <span className="text-muted">{body ?? 'a step of an earlier version'}</span>
    </span>
  );
}

function Bar({ share }: { share: number }) {
  return (
    <div aria-hidden="true" className="mt-1.5 h-2 overflow-hidden rounded-full bg-sunken">
      <div className="h-full rounded-full bg-good-bar" style={{ width: `${Math.round(share * 100)}%` }} />
    </div>
  );
}

function Count({ of }: { of: number }) {
  return of === 0 ? <span className="text-muted">–</span> : of.toLocaleString('en-US');
}
