import { explanationHash } from './explained-row.ts';

/** Links a row's id to the explanation of its state. */
export function RowLink({ queue, id }: { queue: string; id: string }) {
  return (
    <a
      href={explanationHash(queue, id)}
      title={`Explain row ${id}`}
      className="font-mono text-accent underline decoration-line-strong underline-offset-4 hover:decoration-current"
    >
      {id}
    </a>
  );
}
