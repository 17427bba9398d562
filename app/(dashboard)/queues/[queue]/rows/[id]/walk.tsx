'use client';

import Link from 'next/link';
import { useRouter } from 'next/navigation';
import { useEffect } from 'react';
import { LINK } from '@/components/link.ts';

interface WalkProps {
  /** The address of the list. */
  list: string;
  /** The addresses of the rows beside this one; null at an end. */
  previous: string | null;
  next: string | null;
}

/** Links to the rows before and after this one in its list. The keys [ and ] open them. */
export function Walk({ list, previous, next }: WalkProps) {
  const router = useRouter();

  useEffect(() => {
    const listen = (event: KeyboardEvent) => {
      const href = { '[': previous, ']': next }[event.key];
      // AltGr, which many keyboards need for brackets, counts as Ctrl and Alt.
      const isShortcut = event.metaKey || (event.ctrlKey && !event.altKey);
      if (!href || isShortcut || isTyping(event.target)) return;
      event.preventDefault();
      router.push(href);
    };
    window.addEventListener('keydown', listen);
    return () => window.removeEventListener('keydown', listen);
  }, [previous, next, router]);

  return (
    <nav aria-label="The list of this row" className="flex flex-wrap items-baseline gap-x-5">
      <Step href={previous} words="Previous" shortcut="[" />
      <Step href={next} words="Next" shortcut="]" />
      <Link href={list} prefetch={false} className={`${LINK} py-2`}>
        The list
      </Link>
    </nav>
  );
}

function Step({ href, words, shortcut }: { href: string | null; words: string; shortcut: string }) {
  const key = (
    <span aria-hidden="true" className="ml-1.5 rounded border border-line-strong px-1 text-xs max-lg:hidden">
      {shortcut}
    </span>
  );
  if (href === null)
    return (
      <span className="py-2 text-muted">
        {words}
        <span className="sr-only">: none in the list</span>
        {key}
      </span>
    );
  return (
    <span className="py-2">
      <Link href={href} prefetch={false} aria-keyshortcuts={shortcut} className={LINK}>
        {words}
        <span className="sr-only"> row of the list</span>
      </Link>
      {key}
    </span>
  );
}

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName))
  );
}
