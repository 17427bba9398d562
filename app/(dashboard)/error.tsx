'use client';

import { Notice } from '@/components/notice.tsx';

interface ErrorProps {
  error: Error & { digest?: string };
  reset: () => void;
}

/** Says that a page could not be drawn, and offers to try again. */
export default function DashboardError({ error, reset }: ErrorProps) {
  return (
    <Notice tone="bad" heading="This page could not be shown">
      <p>
        The server failed while it read the page. Its log says why
        {error.digest && ` (digest ${error.digest})`}.
      </p>
      <button
        type="button"
        onClick={reset}
        className="mt-2 min-h-9 cursor-pointer rounded-md border border-line-strong px-3 font-medium hover:bg-sunken"
      >
        Try again
      </button>
    </Notice>
  );
}
