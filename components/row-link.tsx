import { askHash } from './asked-row';

/** A row's id, leading to why it stands where it stands. */
export function RowLink({ queue, id }: { queue: string; id: string }) {
  return (
    <a
      href={askHash(queue, id)}
      title={`Why row ${id} stands where it stands`}
      className="font-mono text-accent underline decoration-line-strong underline-offset-4 hover:decoration-current"
    >
      {id}
    </a>
  );
}
