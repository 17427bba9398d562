import { Command } from '@/components/command.tsx';
import { RelativeTime } from '@/components/time/relative-time.tsx';
import type { QueueStats } from '@/lib/store/stats.ts';
import { TryNow } from './try-now.tsx';

type Refused = QueueStats['refused'][number];

interface RefusedListProps {
  refused: Refused[];
  /** The scheme and host of this app. */
  address: string;
  mayAct: boolean;
}

/** Lists refused accounts and providers: why, until when they wait, and the button or the command that tries them now. */
export function RefusedList({ refused, address, mayAct }: RefusedListProps) {
  if (refused.length === 0) return null;
  return (
    <ul className="divide-y divide-line">
      {refused.map((one) => (
        <li
          key={`${one.provider} ${one.account}`}
          className="grid grid-cols-[minmax(0,1fr)] gap-x-6 gap-y-3 py-3 first:pt-0 lg:grid-cols-[minmax(0,1fr)_auto]"
        >
          <Refusal of={one} />
          {mayAct ? (
            <TryNow provider={one.provider} account={one.account} name={one.name} />
          ) : (
            <div className="grid grid-cols-[minmax(0,1fr)] gap-2 lg:col-span-2">
              <p className="text-muted">Once you have fixed the cause, try it now:</p>
              <Command>{`curl -X POST ${address}/api/refusals/end -H "Authorization: Bearer $API_KEY" -H 'Content-Type: application/json' -d '${JSON.stringify({ provider: one.provider, account: one.account })}'`}</Command>
            </div>
          )}
        </li>
      ))}
    </ul>
  );
}

function Refusal({ of: { provider, account, name, said, until } }: { of: Refused }) {
  return (
    <div className="grid grid-cols-[minmax(0,1fr)] gap-1">
      <p className="wrap-anywhere">
        {account === null ? (
          <>
            <span className="font-medium">{provider}</span> refuses every request. Check its address, key and
            version.
          </>
        ) : (
          <>
            {provider} refuses the account <span className="font-medium">{name}</span>.
          </>
        )}
      </p>
      {said && <p className="wrap-anywhere text-muted">{said}</p>}
      <p className="text-warn">
        Its rows wait. Next try {until ? <RelativeTime at={until} /> : 'with its next row'}.
      </p>
    </div>
  );
}
