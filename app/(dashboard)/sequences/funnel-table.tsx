import { type Column, Table } from '@/components/lists/table.tsx';
import type { Funnel } from '@/lib/store/conversations.ts';
import { type FunnelLine, funnelLines } from './enrolment-words.ts';

interface FunnelTableProps {
  funnel: Funnel;
  /** The sequence's name. */
  name: string;
}

const columns: Column<FunnelLine>[] = [
  { head: 'step', isRowHead: true, className: 'lg:w-[45%]', cell: (line) => <Step line={line} /> },
  {
    head: 'sent',
    meaning: 'People who got the step, with their share of all who were enrolled as a bar.',
    cell: (line) => <Sent line={line} />,
  },
  {
    head: 'now',
    meaning: 'People who are at the step now.',
    isNumber: true,
    cell: ({ at }) => <Count of={at} />,
  },
  {
    head: 'reminded',
    meaning: 'People who got its reminder.',
    isNumber: true,
    cell: ({ reminded }) => <Count of={reminded} />,
  },
  {
    head: 'replied',
    meaning: 'People who replied to it, and their share of those who got it.',
    isNumber: true,
    cell: ({ replied, repliedShare }) => (
      <>
        <Count of={replied} />
        {repliedShare !== null && replied > 0 && (
          <span className="ml-2 text-muted">{Math.round(repliedShare * 100)} %</span>
        )}
      </>
    ),
  },
];

/** Draws how many of the enrolled people got each step and its reminder, and how many replied to it. */
export function FunnelTable({ funnel, name }: FunnelTableProps) {
  return (
    <div>
      <Table
        label={`Funnel of ${name}`}
        items={funnelLines(funnel)}
        columns={columns}
        keyOf={({ step }) => `${step}`}
      />
    </div>
  );
}

function Step({ line: { step, kind, body } }: { line: FunnelLine }) {
  return (
    <span className="line-clamp-3 wrap-anywhere">
      {step}
      {kind === 'question' && ' (question)'}{' '}
      <span className="text-muted">{body ?? 'a step of an earlier version'}</span>
    </span>
  );
}

function Sent({ line: { sent, sentShare } }: { line: FunnelLine }) {
  return (
    <span className="flex items-center gap-3">
      <span className="min-w-8 text-right">{sent.toLocaleString('en-US')}</span>
      <span aria-hidden="true" className="h-2 w-24 overflow-hidden rounded-full bg-sunken">
        <span
          className="block h-full rounded-full bg-good-bar"
          style={{ width: `${Math.round(sentShare * 100)}%` }}
        />
      </span>
    </span>
  );
}

function Count({ of }: { of: number }) {
  return of === 0 ? <span className="text-muted">–</span> : of.toLocaleString('en-US');
}
