import { fetchJson } from '@/components/api/fetch-json.ts';
import { useAction } from '@/components/api/use-action.ts';
import { Command } from '@/components/command.tsx';
import { RelativeTime } from '@/components/time/relative-time.tsx';
import { useServerNow } from '@/components/time/server-now.tsx';
import type { QueueStats } from '@/lib/store/stats.ts';

type Refused = QueueStats['refused'][number];

interface RefusedListProps {
  refused: Refused[];
  /** The scheme and host of this app. */
  address: string;
  /** Called with a message for the person. Null for a person who has not signed in. */
  onEnded: ((message: string) => void) | null;
}

/** Lists refused accounts and providers: why, until when they wait, and the button or the command that tries them now. */
export function RefusedList({ refused, address, onEnded }: RefusedListProps) {
  if (refused.length === 0) return null;
  return (
    <ul className="mt-2 divide-y divide-line border-y border-line">
      {refused.map((one) => (
        <RefusedItem
          key={`${one.provider} ${one.account}`}
          refused={one}
          address={address}
          onEnded={onEnded}
        />
      ))}
    </ul>
  );
}

function RefusedItem({
  refused,
  address,
  onEnded,
}: Omit<RefusedListProps, 'refused'> & { refused: Refused }) {
  const { provider, account, name, said, until } = refused;
  const nowMs = useServerNow();
  const { isRunning, failure, run } = useAction();
  const tryNow = () =>
    run(async () => {
      await fetchJson('/api/refusals/end', { provider, account });
      onEnded?.(`The next tick tries ${name ?? provider} again.`);
    });
  return (
    <li className="grid grid-cols-[minmax(0,1fr)] gap-x-6 gap-y-3 py-3 lg:grid-cols-[minmax(0,1fr)_auto]">
      <div className="grid grid-cols-[minmax(0,1fr)] gap-1">
        <p className="wrap-anywhere">
          {account === null ? (
            <>
              <span className="font-medium">{provider}</span> refuses every request. Check its address, key
              and version.
            </>
          ) : (
            <>
              {provider} refuses the account <span className="font-medium">{name}</span>.
            </>
          )}
        </p>
        {said && <p className="wrap-anywhere text-muted">{said}</p>}
        <p className="text-warn">
          Its rows wait. Next try{' '}
          {until && Date.parse(until) > nowMs ? <RelativeTime at={until} /> : 'with its next row'}.
        </p>
      </div>
      {onEnded ? (
        <div aria-busy={isRunning} className="lg:justify-self-end">
          <button
            type="button"
            title="Use this once you have fixed the cause."
            className="min-h-9 cursor-pointer rounded-md border border-line-strong px-3 font-medium hover:bg-sunken"
            onClick={() => void tryNow()}
          >
            Try now
          </button>
          {failure && (
            <p role="alert" className="mt-2 wrap-anywhere text-bad first-letter:uppercase">
              {failure}
            </p>
          )}
        </div>
      ) : (
        <div className="grid grid-cols-[minmax(0,1fr)] gap-2 lg:col-span-2">
          <p className="text-muted">Once you have fixed the cause, try it now:</p>
          <Command>{`curl -X POST ${address}/api/refusals/end -H "Authorization: Bearer $API_KEY" -H 'Content-Type: application/json' -d '${JSON.stringify({ provider, account })}'`}</Command>
        </div>
      )}
    </li>
  );
}
