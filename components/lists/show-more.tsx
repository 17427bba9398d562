interface ShowMoreProps {
  isExpanded: boolean;
  /** Items that are hidden while the list is not expanded. */
  hidden: number;
  onChange: (isExpanded: boolean) => void;
}

/** Draws the button below a list that shows only its first items. Draws nothing if the list has no others. */
export function ShowMore({ isExpanded, hidden, onChange }: ShowMoreProps) {
  if (hidden <= 0) return null;
  return (
    <button
      type="button"
      aria-expanded={isExpanded}
      className="mt-2 min-h-9 cursor-pointer text-accent underline decoration-line-strong underline-offset-4 hover:decoration-current"
      onClick={() => onChange(!isExpanded)}
    >
      {isExpanded ? 'Show fewer' : `Show ${hidden} more`}
    </button>
  );
}
