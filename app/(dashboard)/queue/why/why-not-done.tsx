import { type FormEvent, useEffect, useRef } from 'react';
import useSWR from 'swr';
import { fetchJson } from '@/components/api/fetch-json';
import { askHash, useAskedRow } from '@/components/asked-row';
import type { Explanation } from '@/lib/store/explanation';
import type { QueueStats } from '@/lib/store/stats';
import { ExplanationCard } from './explanation-card';

const REFRESH_MS = 5_000;

/** A row's id in, why it stands where it stands out. */
export function WhyNotDone({ queue, path }: { queue: QueueStats; path: string }) {
  const asked = useAskedRow(queue.name);
  const { data, error, mutate } = useSWR<Explanation, Error>(
    asked === null ? null : `${path}/${encodeURIComponent(asked)}/why`,
    fetchJson,
    { refreshInterval: REFRESH_MS, shouldRetryOnError: false },
  );
  const answer = useRef<HTMLDivElement>(null);
  const input = useRef<HTMLInputElement>(null);

  useEffect(() => {
    if (asked === null) return;
    if (input.current) input.current.value = asked;
    answer.current?.scrollIntoView({ block: 'nearest' });
    answer.current?.focus({ preventScroll: true });
  }, [asked]);

  function ask(event: FormEvent<HTMLFormElement>): void {
    event.preventDefault();
    const id = input.current?.value.trim() ?? '';
    if (id === '') return;
    if (id === asked) void mutate();
    else window.location.hash = askHash(queue.name, id);
  }

  const title = `Why not ${queue.words.done}?`;
  const inputId = `${askHash(queue.name).slice(1)}-input`;
  return (
    <section id={askHash(queue.name).slice(1)} aria-label={title} className="scroll-mt-4">
      <form onSubmit={ask} className="flex flex-wrap items-center gap-x-3 gap-y-2">
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
            title="The row’s id: a whole number, or a uuid"
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
      {asked !== null && (
        <div
          ref={answer}
          id={askHash(queue.name, asked).slice(1)}
          tabIndex={-1}
          className="mt-3 scroll-my-4 rounded-lg border border-line p-4"
        >
          {error && <p className="wrap-anywhere text-warn first-letter:uppercase">{error.message}</p>}
          {data && <ExplanationCard row={data} />}
          {!data && !error && <p className="text-muted">Looking at row {asked} …</p>}
        </div>
      )}
    </section>
  );
}
