import type { InputHTMLAttributes, ReactNode, SelectHTMLAttributes } from 'react';

/** The classes of a field. A smaller font would make a phone zoom in. */
export const FIELD =
  'block min-h-9 w-full min-w-0 rounded-md border border-muted bg-surface px-2.5 text-base text-ink sm:text-sm';

interface LabelledProps {
  /** The id of the field. */
  id: string;
  label: string;
  /** Stands below the field, which names it: `describedBy`. */
  hint?: ReactNode;
  className?: string;
}

/** Draws a field with its label and what it means. */
export function Labelled({
  id,
  label,
  hint,
  className = '',
  children,
}: LabelledProps & { children: ReactNode }) {
  return (
    <div className={`min-w-0 ${className}`}>
      <label htmlFor={id} className="mb-1 block font-medium">
        {label}
      </label>
      {children}
      {hint && (
        <p id={`${id}-hint`} className="mt-1 text-xs text-muted">
          {hint}
        </p>
      )}
    </div>
  );
}

/** Returns the id of a field's hint. */
export function describedBy({ id, hint }: Pick<LabelledProps, 'id' | 'hint'>): string | undefined {
  return hint ? `${id}-hint` : undefined;
}

type FieldProps<Attributes> = Attributes & Omit<LabelledProps, 'id'> & { name: string };

/** Draws an input with its label and what it means. */
export function Field({
  label,
  hint,
  name,
  id = name,
  className,
  ...input
}: FieldProps<InputHTMLAttributes<HTMLInputElement>>) {
  return (
    <Labelled id={id} label={label} hint={hint} className={className}>
      <input id={id} name={name} className={FIELD} aria-describedby={describedBy({ id, hint })} {...input} />
    </Labelled>
  );
}

/** Draws a choice with its label and what it means. `children`: its options. */
export function SelectField({
  label,
  hint,
  name,
  id = name,
  className,
  ...select
}: FieldProps<SelectHTMLAttributes<HTMLSelectElement>>) {
  return (
    <Labelled id={id} label={label} hint={hint} className={className}>
      <select
        id={id}
        name={name}
        className={FIELD}
        aria-describedby={describedBy({ id, hint })}
        {...select}
      />
    </Labelled>
  );
}
