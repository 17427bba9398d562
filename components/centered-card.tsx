import type { ReactNode } from 'react';
import { BrandMark } from './brand-mark.tsx';

/** Draws a page that consists of one card. */
export function CenteredCard({ heading, children }: { heading: string; children: ReactNode }) {
  return (
    <main className="grid min-h-dvh place-items-center p-4">
      <div className="w-full max-w-sm">
        <p className="mb-4 px-1">
          <BrandMark />
        </p>
        <div className="grid gap-4 rounded-xl border border-line bg-surface p-6">
          <h1 className="text-lg font-semibold tracking-tight">{heading}</h1>
          {children}
        </div>
      </div>
    </main>
  );
}
