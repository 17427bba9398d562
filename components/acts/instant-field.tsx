'use client';

import { type ReactNode, useEffect, useRef, useState } from 'react';
import { useTimeZone } from '../time/server-now.tsx';
import { describedBy, FIELD, Labelled } from './field.tsx';

interface InstantFieldProps {
  name: string;
  label: string;
  /** The instant that it shows at first. */
  value?: string;
  required?: boolean;
  hint?: ReactNode;
}

/** Draws a field for an instant. It sends an ISO instant from the browser’s time zone; before scripts have loaded it takes UTC, and sends no
 * zone: `instantOf` reads both. */
export function InstantField({ name, label, value = '', required = false, hint }: InstantFieldProps) {
  const isBrowser = useTimeZone() === undefined;
  const [at, setAt] = useState(value);
  const field = useRef<HTMLInputElement>(null);

  useEffect(() => {
    const input = field.current;
    if (!input) return;
    // Somebody may have typed before the scripts had loaded.
    if (input.value === inField(value, false)) input.value = inField(value, true);
    else setAt(toInstant(input.value));
  }, [value]);

  return (
    <Labelled id={name} label={isBrowser ? label : `${label} (UTC)`} hint={hint}>
      <input
        ref={field}
        id={name}
        type="datetime-local"
        name={isBrowser ? undefined : name}
        required={required}
        defaultValue={inField(value, false)}
        onChange={({ target }) => setAt(toInstant(target.value))}
        aria-describedby={describedBy({ id: name, hint })}
        className={FIELD}
      />
      {isBrowser && <input type="hidden" name={name} value={at} />}
    </Labelled>
  );
}

function toInstant(local: string): string {
  return local && new Date(local).toISOString();
}

function inField(at: string, isLocal: boolean): string {
  if (Number.isNaN(Date.parse(at))) return '';
  const offsetMs = isLocal ? new Date(at).getTimezoneOffset() * 60_000 : 0;
  return new Date(Date.parse(at) - offsetMs).toISOString().slice(0, 16);
}
