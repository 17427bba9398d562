'use client';

import { useRouter } from 'next/navigation';
import { type KeyboardEvent, useEffect, useRef, useState } from 'react';
import { fetchJson } from '@/components/acts/fetch-json.ts';
import { accountHref } from '@/components/link.ts';
import { matchPlaces, type Place } from './places.ts';

/**
 * Draws the search for a row: a plain form. While a person types, it offers pages, queues and accounts, as the combobox of the ARIA practices.
 * Ctrl-K and Cmd-K focus it. `places`: the pages and queues; accounts are read when it is first focused.
 */
export function SearchBox({ places }: { places: Place[] }) {
  const router = useRouter();
  const input = useRef<HTMLInputElement>(null);
  const hasAsked = useRef(false);
  const [accounts, setAccounts] = useState<Place[]>([]);
  const [text, setText] = useState('');
  const [isOpen, setIsOpen] = useState(false);
  /** The offered place that Enter opens; -1 sends the form. */
  const [active, setActive] = useState(-1);
  const offered = isOpen ? matchPlaces([...places, ...accounts], text) : [];

  useEffect(() => {
    const listen = (event: globalThis.KeyboardEvent) => {
      if (event.key.toLowerCase() !== 'k' || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      input.current?.select();
      input.current?.focus();
    };
    window.addEventListener('keydown', listen);
    return () => window.removeEventListener('keydown', listen);
  }, []);

  function open(): void {
    setIsOpen(true);
    if (hasAsked.current) return;
    hasAsked.current = true;
    fetchJson<{ accounts: { id: string; name: string }[] }>('/api/accounts?limit=200').then(
      (read) =>
        setAccounts(
          read.accounts.map(({ id, name }) => ({ title: name, href: accountHref(id), kind: 'account' })),
        ),
      // The pages and queues are offered without them, and the next focus asks again.
      () => {
        hasAsked.current = false;
      },
    );
  }

  function close(): void {
    setIsOpen(false);
    setActive(-1);
  }

  function go({ href }: Place): void {
    close();
    setText('');
    input.current?.blur();
    router.push(href);
  }

  function onKeyDown(event: KeyboardEvent): void {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined) {
      event.preventDefault();
      if (!isOpen) open();
      // One more than the places, because none may be active.
      const count = offered.length + 1;
      setActive((before) => ((before + 1 + step + count) % count) - 1);
    } else if (event.key === 'Escape') {
      if (isOpen) close();
      else setText('');
    } else if (event.key === 'Enter' && offered[active]) {
      event.preventDefault();
      go(offered[active]);
    }
  }

  return (
    <search className="relative min-w-0 flex-1 sm:max-w-sm">
      <form action="/find">
        <input
          ref={input}
          type="search"
          name="q"
          value={text}
          role="combobox"
          aria-label="Search for a row, or go to a page"
          aria-keyshortcuts="Control+K Meta+K"
          aria-autocomplete="list"
          aria-controls="places"
          aria-expanded={offered.length > 0}
          aria-activedescendant={offered[active] && `place-${active}`}
          placeholder="Id, key or address (Ctrl-K)"
          autoComplete="off"
          maxLength={500}
          onFocus={open}
          onBlur={close}
          onChange={({ target }) => {
            setText(target.value);
            setIsOpen(true);
            setActive(-1);
          }}
          onKeyDown={onKeyDown}
          className="block h-9 w-full min-w-0 rounded-md border border-line-strong bg-canvas px-2.5 placeholder:text-muted"
        />
      </form>
      <div
        id="places"
        role="listbox"
        aria-label="Pages, queues and accounts"
        hidden={offered.length === 0}
        className="absolute top-full right-0 left-0 z-30 mt-1 min-w-56 overflow-hidden rounded-lg border border-line-strong bg-surface py-1 shadow-lg"
      >
        {offered.map((place, n) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the input has the focus and the keys.
          <div
            key={place.href}
            id={`place-${n}`}
            role="option"
            aria-selected={n === active}
            tabIndex={-1}
            // The press would take the focus from the input, which closes the list.
            onPointerDown={(event) => event.preventDefault()}
            onClick={() => go(place)}
            className={`flex min-h-9 cursor-pointer items-center justify-between gap-3 px-3 ${n === active ? 'bg-sunken' : 'hover:bg-sunken'}`}
          >
            <span className="truncate">{place.title}</span>
            <span className="text-xs text-muted">{place.kind}</span>
          </div>
        ))}
      </div>
    </search>
  );
}
