'use client';

import { useRouter } from 'next/navigation';
import { useEffect, useRef, useState } from 'react';
import { fetchText } from '@/components/acts/fetch-json.ts';
import { ClockTime } from '@/components/time/relative-time.tsx';
import { useServerNow } from '@/components/time/server-now.tsx';
import { everyMsByDefault, startPulse } from './pulse-loop.ts';

const HANDS = ['pointerdown', 'pointermove', 'keydown', 'scroll'] as const;

interface PulseProps {
  /** The pulse that the page was rendered with; null if the database did not respond. */
  seen: string | null;
  everyMs?: number;
}

/** Keeps the page current at a low price, and says when it was last found current. All tabs of a browser share one call. */
export function Pulse({ seen, everyMs = everyMsByDefault }: PulseProps) {
  const router = useRouter();
  const nowMs = useServerNow();
  const [failure, setFailure] = useState('');
  const [confirmedAtMs, setConfirmedAtMs] = useState(nowMs);
  const [answers, setAnswers] = useState(0);

  // biome-ignore lint/correctness/useExhaustiveDependencies: the time belongs to the answer.
  useEffect(() => setConfirmedAtMs(nowMs), [answers]);
  useEffect(() => {
    document.body.toggleAttribute('data-stale', failure !== '');
  }, [failure]);

  const loop = useRef<ReturnType<typeof startPulse>>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the loop hears of a new rendering below.
  useEffect(() => {
    const channel = new BroadcastChannel('punctual-pulse');
    const pulse = startPulse(
      {
        ask: () => fetchText('/api/pulse'),
        refresh: () => router.refresh(),
        share: (answer) => channel.postMessage(answer),
        isHidden: () => document.visibilityState === 'hidden',
        onAnswer: () => {
          setFailure('');
          setAnswers((count) => count + 1);
        },
        onFailure: setFailure,
      },
      { everyMs, seen },
    );
    loop.current = pulse;
    channel.onmessage = ({ data }) => pulse.heard(data);
    const ends = new AbortController();
    const options = { signal: ends.signal, passive: true };
    for (const hand of HANDS) window.addEventListener(hand, pulse.touch, options);
    window.addEventListener('focus', pulse.turn, options);
    document.addEventListener('visibilitychange', pulse.turn, options);
    return () => {
      ends.abort();
      channel.close();
      pulse.stop();
    };
  }, [everyMs]);

  useEffect(() => loop.current?.rendered(seen), [seen]);

  const confirmedAt = new Date(confirmedAtMs).toISOString();
  return (
    <>
      <p className="inline-flex items-center gap-2 text-muted">
        <span
          aria-hidden="true"
          className={`size-2 rounded-full ${failure ? 'bg-warn-bar' : 'bg-good-bar'}`}
        />
        <span className="sr-only">{failure ? 'Stale, last current at' : 'Current at'} </span>
        <ClockTime at={confirmedAt} seconds />
      </p>
      {failure && (
        <div
          role="alert"
          className="fixed inset-x-4 top-14 z-30 mx-auto max-w-xl rounded-lg border border-warn-line bg-warn-tint px-4 py-3 text-warn shadow-lg"
        >
          <p className="font-semibold">
            These figures are stale: they were current at <ClockTime at={confirmedAt} seconds />
          </p>
          <p className="mt-0.5 text-ink wrap-anywhere first-letter:uppercase">{failure}</p>
          <p className="text-ink">The page keeps trying, and shows new figures by itself.</p>
        </div>
      )}
    </>
  );
}
