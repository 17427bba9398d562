import { usePolling } from '@/components/api/use-polling.ts';
import { Command } from '@/components/command.tsx';
import { PageLinks, usePages } from '@/components/lists/pages.tsx';
import { Panel } from '@/components/panel.tsx';
import type { Sequence } from '@/lib/store/conversations.ts';
import { EnrolmentList } from './enrolment-list.tsx';
import { FunnelTable } from './funnel-table.tsx';
import { SEQUENCES_SHOWN } from './page-sizes.ts';
import { PhaseCounts } from './phase-counts.tsx';

/** Reading a funnel costs one pass over all of its people. */
const REFRESH_MS = 5_000;

export interface SequencesPage {
  sequences: Sequence[];
  /** The cursor of the older sequences; null if there are none. */
  next: string | null;
}

interface SequencesProps {
  /** Read by the server when it rendered the page. */
  initial?: SequencesPage;
  /** The scheme and host of this app. */
  address: string;
  signedIn: boolean;
}

/** Draws each sequence with its funnel and its people. */
export function Sequences({ initial, address, signedIn }: SequencesProps) {
  const pages = usePages(`/api/sequences?limit=${SEQUENCES_SHOWN}`);
  const { data, error } = usePolling<SequencesPage>(pages.url, {
    initial: pages.isFirst ? initial : undefined,
    everyMs: REFRESH_MS,
  });
  return (
    <Panel id="sequences" heading="Sequences" spacing="gap-8 py-5" error={error}>
      {data?.sequences.length === 0 && pages.isFirst && <NoSequences address={address} />}
      {data?.sequences.map((sequence) => (
        <SequenceSection key={sequence.id} sequence={sequence} signedIn={signedIn} />
      ))}
      <PageLinks pages={pages} next={data?.next} />
    </Panel>
  );
}

function SequenceSection({ sequence, signedIn }: { sequence: Sequence; signedIn: boolean }) {
  const { id, name, channel, version, funnel } = sequence;
  return (
    <section aria-labelledby={`sequence-${id}`} className="grid grid-cols-[minmax(0,1fr)] gap-3">
      <header className="flex flex-wrap items-baseline gap-x-3 gap-y-1">
        <h3 id={`sequence-${id}`} className="font-semibold wrap-anywhere">
          {name}
        </h3>
        <p className="text-muted">
          {channel === 'linkedin' ? 'LinkedIn' : 'WhatsApp'}
          {version > 1 && `, version ${version}`} · {funnel.enrolled.toLocaleString('en-US')} enrolled
        </p>
      </header>
      <PhaseCounts funnel={funnel} />
      <FunnelTable funnel={funnel} name={name} />
      {funnel.enrolled > 0 && <EnrolmentList sequence={id} name={name} funnel={funnel} signedIn={signedIn} />}
    </section>
  );
}

function NoSequences({ address }: { address: string }) {
  return (
    <div className="grid grid-cols-[minmax(0,1fr)] gap-2">
      <p className="text-muted">
        There are no sequences yet. A sequence is a conversation over days: messages, and questions that wait
        for a reply. To create one:
      </p>
      <Command>{`curl -X POST ${address}/api/sequences \\
  -H "Authorization: Bearer $API_KEY" \\
  -H 'Content-Type: application/json' \\
  -d '{ "name": "welcome", "channel": "linkedin", "steps": [{ "kind": "message", "body": "Hi {{first_name}}!" }] }'`}</Command>
    </div>
  );
}
