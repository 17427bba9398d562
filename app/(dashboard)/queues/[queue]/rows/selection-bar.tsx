'use client';

import { useEffect, useRef, useState } from 'react';
import { SECONDARY_BUTTON } from '@/components/acts/confirm-buttons.tsx';
import { type Query, queueHref } from '@/components/link.ts';

interface SelectionBarProps {
  queue: string;
  filter: Query;
  /** How many rows match, in words. */
  matching: string;
  acts: { act: string; label: string }[];
}

/**
 * Draws the acts on the selected rows, or on all that match while none is selected. Each leads to a page that says what it would do. The checkboxes
 * of the rows belong to this form, which also works before scripts have loaded.
 */
export function SelectionBar({ queue, filter, matching, acts }: SelectionBarProps) {
  const form = useRef<HTMLFormElement>(null);
  const [selected, setSelected] = useState({ count: 0, of: 0 });
  const boxes = () =>
    [...(form.current?.elements ?? [])].filter(
      (one) => one instanceof HTMLInputElement && one.name === 'id',
    ) as HTMLInputElement[];
  const count = () =>
    setSelected({ count: boxes().filter(({ checked }) => checked).length, of: boxes().length });

  function selectAll(checked: boolean): void {
    for (const box of boxes()) box.checked = checked;
    count();
  }

  // biome-ignore lint/correctness/useExhaustiveDependencies: `count` reads the page.
  useEffect(() => {
    count();
    const listen = ({ target }: Event) => {
      if (target instanceof HTMLInputElement && target.form === form.current) count();
    };
    document.addEventListener('change', listen);
    return () => document.removeEventListener('change', listen);
  }, []);

  return (
    <form
      ref={form}
      id="selection"
      action={queueHref(queue, '/act')}
      className="z-10 -mx-4 -mt-3 mb-3 flex flex-wrap items-center gap-2 border-b border-line bg-surface px-4 py-3 md:sticky md:top-12 sm:-mx-5 sm:px-5"
    >
      {Object.entries(filter).map(
        ([name, value]) => value && <input key={name} type="hidden" name={name} value={value} />,
      )}
      <label className="inline-flex min-h-9 items-center gap-2">
        <input
          type="checkbox"
          className="size-6 md:size-4"
          checked={selected.of > 0 && selected.count === selected.of}
          onChange={({ target }) => selectAll(target.checked)}
        />
        Select page
      </label>
      <p className="mr-2">
        {selected.count === 0 ? (
          <>All {matching} that match:</>
        ) : (
          <>
            <strong className="font-semibold">{selected.count} selected</strong>{' '}
            <button
              type="button"
              onClick={() => selectAll(false)}
              className="min-h-9 cursor-pointer text-accent underline underline-offset-4"
            >
              Select all {matching} that match
            </button>
          </>
        )}
      </p>
      {acts.map(({ act, label }) => (
        <button key={act} type="submit" name="act" value={act} className={SECONDARY_BUTTON}>
          {label}
        </button>
      ))}
    </form>
  );
}
