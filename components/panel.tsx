import type { ReactNode } from 'react';
import { ReadErrorNotice } from './api/read-error-notice.tsx';

interface PanelProps {
  id: string;
  heading: string;
  /** Stands beside the heading. */
  aside?: ReactNode;
  headerClass?: string;
  /** The classes for the space inside. */
  spacing: string;
  /** The error of the last read. */
  error?: Error;
  children: ReactNode;
}

/** Draws a section of the dashboard that reads its own figures. */
export function Panel({
  id,
  heading,
  aside,
  headerClass = 'items-baseline gap-y-1',
  spacing,
  error,
  children,
}: PanelProps) {
  return (
    <section aria-labelledby={id} className="rounded-xl border border-line bg-surface">
      <header className={`flex flex-wrap gap-x-4 border-b border-line px-4 py-4 sm:px-6 ${headerClass}`}>
        <h2 id={id} className="scroll-mt-4 text-base font-semibold tracking-tight">
          {heading}
        </h2>
        {aside}
      </header>
      <div className={`grid grid-cols-[minmax(0,1fr)] px-4 sm:px-6 ${spacing}`}>
        {error && <ReadErrorNotice error={error} />}
        {children}
      </div>
    </section>
  );
}
