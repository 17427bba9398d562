import { usedInWords } from './account-words.ts';

interface UsedBarProps {
  of: { used: number; limit: number; left: number };
  className?: string;
}

/** Draws how much of an account's daily limit is used. */
export function UsedBar({ of, className = 'w-36' }: UsedBarProps) {
  const share = of.limit === 0 ? 1 : Math.min(1, of.used / of.limit);
  return (
    <span className={`inline-flex flex-col gap-1 ${className}`}>
      <span aria-hidden="true" className="block h-1.5 rounded-full bg-sunken ring-1 ring-line">
        <span
          className={`block h-full rounded-full ${of.left === 0 ? 'bg-warn-bar' : 'bg-good-bar'}`}
          style={{ width: `${Math.round(share * 100)}%` }}
        />
      </span>
      <span className="text-xs whitespace-nowrap text-muted">{usedInWords(of)}</span>
    </span>
  );
}
