import { type FormEvent, useEffect, useRef } from 'react';
import useSWR from 'swr';
import { fetchJson } from '@/components/api/fetch-json.ts';
import { explanationHash, useExplainedRow } from '@/components/explained-row.ts';
import type { Explanation } from '@/lib/store/explanation.ts';
import type { QueueStats } from '@/lib/store/stats.ts';
import { ExplanationCard } from './explanation-card.tsx';

const REFRESH_MS = 5_000;

/** Draws a form for a row's id, and the explanation of its state. */
export function WhyNotDone({ queue, path }: { queue: QueueStats; path: string }) {
  const rowId = useExplainedRow(queue.name);
  const { data, error, mutate } = useSWR<Explanation, Error>(
    rowId === null ? null : `${path}/${encodeURIComponent(rowId)}/why`,
    fetchJson,
    { refreshInterval: REFRESH_MS, shouldRetryOnError: false },
  );
  const explanation = useRef<HTMLDivElement>(null);
  const input = useRef<HTMLInputElement>(null);

  useEffect(() => {
    if (rowId === null) return;
    if (input.current) input.current.value = rowId;
    explanation.current?.scrollIntoView({ block: 'nearest' });
    explanation.current?.focus({ preventScroll: true });
  }, [rowId]);

  function explain(event: FormEvent<HTMLFormElement>): void {
    event.preventDefault();
    const id = input.current?.value.trim() ?? '';
    if (id === '') return;
    if (id === rowId) void mutate();
    else window.location.hash = explanationHash(queue.name, id);
  }

  const title = `Why not ${queue.words.done}?`;
  const inputId = `${explanationHash(queue.name).slice(1)}-input`;
  return (
    <section id={explanationHash(queue.name).slice(1)} aria-label={title} className="scroll-mt-4">
      <form onSubmit={explain} className="flex flex-wrap items-center gap-x-3 gap-y-2">
        <h3 className="font-semibold">{title}</h3>
        <label htmlFor={inputId} className="text-muted">
          Row id
        </label>
        <div className="flex gap-2">
          <input
            ref={input}
            id={inputId}
            required
            pattern="\s*[\w.:\-]+\s*"
            title="The row’s id: a whole number or a UUID"
            autoComplete="off"
            className="h-9 w-40 rounded-md border border-muted bg-surface px-3 font-mono text-base sm:text-sm"
          />
          <button
            type="submit"
            className="h-9 cursor-pointer rounded-md bg-accent px-3 font-medium text-on-accent"
          >
            Explain
          </button>
        </div>
      </form>
      {rowId !== null && (
        <div
          ref={explanation}
          id={explanationHash(queue.name, rowId).slice(1)}
          tabIndex={-1}
          className="mt-3 scroll-my-4 rounded-lg border border-line p-4"
        >
          {error && <p className="wrap-anywhere text-warn first-letter:uppercase">{error.message}</p>}
          {data && <ExplanationCard row={data} />}
          {!data && !error && <p className="text-muted">Reading row {rowId}…</p>}
        </div>
      )}
    </section>
  );
}
