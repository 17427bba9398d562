import type { InputHTMLAttributes, ReactNode } from 'react';

/** The classes of a field. */
export const FIELD =
  'block min-h-9 w-full min-w-0 rounded-md border border-line-strong bg-surface px-2.5 text-ink';

interface FieldProps extends InputHTMLAttributes<HTMLInputElement> {
  name: string;
  label: string;
  /** Stands below the field. */
  hint?: ReactNode;
}

/** Draws an input with its label and what it means. */
export function Field({ label, hint, name, id = name, className = '', ...input }: FieldProps) {
  return (
    <div className={className}>
      <label htmlFor={id} className="mb-1 block font-medium">
        {label}
      </label>
      <input
        id={id}
        name={name}
        className={FIELD}
        aria-describedby={hint ? `${id}-hint` : undefined}
        {...input}
      />
      {hint && (
        <p id={`${id}-hint`} className="mt-1 text-xs text-muted">
          {hint}
        </p>
      )}
    </div>
  );
}
