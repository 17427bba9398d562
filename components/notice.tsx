import type { ReactNode } from 'react';

const TONES = {
  warn: 'border-warn-line bg-warn-tint text-warn',
  bad: 'border-bad-line bg-bad-tint text-bad',
} as const;

interface NoticeProps {
  tone: keyof typeof TONES;
  /** The problem, in a few words. */
  heading: ReactNode;
  children: ReactNode;
}

/** Draws a message that a person should read before the figures. */
export function Notice({ tone, heading, children }: NoticeProps) {
  return (
    <div className={`rounded-lg border px-4 py-3 ${TONES[tone]}`}>
      <p className="font-semibold">{heading}</p>
      <div className="mt-0.5 wrap-anywhere text-ink">{children}</div>
    </div>
  );
}
