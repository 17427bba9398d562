interface ShowMoreProps {
  /** Whether all are shown now. */
  all: boolean;
  hidden: number;
  onChange: (all: boolean) => void;
}

/** Below a list of which only the first are shown unasked; nothing where these are all. */
export function ShowMore({ all, hidden, onChange }: ShowMoreProps) {
  if (hidden <= 0) return null;
  return (
    <button
      type="button"
      aria-expanded={all}
      className="mt-2 min-h-9 cursor-pointer text-accent underline decoration-line-strong underline-offset-4 hover:decoration-current"
      onClick={() => onChange(!all)}
    >
      {all ? 'Show fewer' : `Show ${hidden} more`}
    </button>
  );
}
