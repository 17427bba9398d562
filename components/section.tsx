import type { ReactNode } from 'react';

interface SectionProps {
  id: string;
  heading: ReactNode;
  /** Stands beside the heading. */
  aside?: ReactNode;
  children: ReactNode;
}

/** Draws a part of a page in a box. */
export function Section({ id, heading, aside, children }: SectionProps) {
  return (
    <section aria-labelledby={id} className="rounded-xl border border-line bg-surface">
      <header className="flex flex-wrap items-baseline gap-x-4 gap-y-1 border-b border-line px-4 py-3 sm:px-5">
        <h2 id={id} tabIndex={-1} className="scroll-mt-20 text-base font-semibold tracking-tight">
          {heading}
        </h2>
        {aside}
      </header>
      <div className="grid grid-cols-[minmax(0,1fr)] gap-6 px-4 py-4 sm:px-5">{children}</div>
    </section>
  );
}
