import Link from 'next/link';
import { Command } from '@/components/command.tsx';
import { LINK } from '@/components/link.ts';
import { PageLinks } from '@/components/lists/page-links.tsx';
import { Section } from '@/components/section.tsx';
import type { Sequence } from '@/lib/store/conversations.ts';
import { FunnelTable } from './funnel-table.tsx';
import { PhaseCounts } from './phase-counts.tsx';

interface SequencesProps {
  sequences: Sequence[];
  /** The cursor of the older sequences; null if there are none. */
  next: string | null;
  isFirst: boolean;
  /** The scheme and host of this app. */
  address: string;
}

/** Draws each sequence with its funnel, and a link to its people. */
export function Sequences({ sequences, next, isFirst, address }: SequencesProps) {
  return (
    <>
      {sequences.length === 0 && isFirst && <NoSequences address={address} />}
      {sequences.map((sequence) => (
        <Section
          key={sequence.id}
          id={`sequence-${sequence.id}`}
          heading={
            <Link href={`/sequences/${sequence.id}`} prefetch={false} className={LINK}>
              {sequence.name}
            </Link>
          }
          aside={<SequenceFacts of={sequence} />}
        >
          <PhaseCounts sequence={sequence} />
          <FunnelTable funnel={sequence.funnel} name={sequence.name} />
        </Section>
      ))}
      <PageLinks first={isFirst ? null : '/sequences'} next={next && `/sequences?cursor=${next}`} />
    </>
  );
}

/** Says a sequence's channel, its version and how many people were enrolled. */
export function SequenceFacts({ of: { channel, version, funnel } }: { of: Sequence }) {
  return (
    <p className="text-muted">
      {channel === 'linkedin' ? 'LinkedIn' : 'WhatsApp'}
      {version > 1 && `, version ${version}`} · {funnel.enrolled.toLocaleString('en-US')} enrolled
    </p>
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
