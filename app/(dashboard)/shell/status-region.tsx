'use client';

import { useEffect, useState } from 'react';
import { onAnnounce } from '@/components/acts/announce.ts';

const SHOWN_MS = 8_000;

/** Says what the last act did: for screen readers, and for a few seconds above the page, where it moves nothing. */
export function StatusRegion() {
  const [text, setText] = useState('');
  useEffect(() => onAnnounce(setText), []);
  useEffect(() => {
    if (text === '') return;
    const timer = setTimeout(() => setText(''), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return (
    <p
      role="status"
      className={`pointer-events-none fixed bottom-24 left-1/2 z-30 -translate-x-1/2 rounded-lg px-4 py-2 lg:bottom-6 ${
        text === '' ? '' : 'bg-ink text-surface shadow-lg'
      }`}
    >
      {text}
    </p>
  );
}
