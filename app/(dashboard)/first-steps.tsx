import { Command } from '@/components/command';
import type { QueueStats } from '@/lib/store/stats';

interface FirstStepsProps {
  queues: QueueStats[];
  /** Scheme and host of this app, without a slash at the end. */
  address: string;
}

/** What to do while there is nothing to see. */
export function FirstSteps({ queues, address }: FirstStepsProps) {
  if (queues.some(hasRows)) return null;
  return (
    <section aria-labelledby="first-steps" className="rounded-xl border border-line bg-surface p-5 sm:p-6">
      <h2 id="first-steps" className="text-base font-semibold tracking-tight">
        {queues.length === 0 ? 'No queue is known yet' : 'Nothing has been queued yet'}
      </h2>
      {queues.length === 0 ? (
        <p className="mt-1 text-muted">
          The database answers, but no queue is registered in it. Run{' '}
          <code className="font-mono text-[0.8125rem] text-ink">npm run migrate</code> against it.
        </p>
      ) : (
        <ol className="mt-4 grid grid-cols-[minmax(0,1fr)] gap-5">
          <Step
            title="Add an account to send as"
            note="The answer bears its id. Posting the same one again changes it."
            command={`curl -X POST ${address}/api/accounts \\
  -H "Authorization: Bearer $API_KEY" \\
  -H 'Content-Type: application/json' \\
  -d '{
    "provider": "whatsapp_cloud",
    "provider_account_id": "106540352242922",
    "name": "Support"
  }'`}
          />
          <Step
            title="Queue a direct message"
            note="It falls due at once; give it a send_at for later."
            command={`curl -X POST ${address}/api/dms \\
  -H "Authorization: Bearer $API_KEY" \\
  -H 'Content-Type: application/json' \\
  -d '{
    "account_id": "'$ACCOUNT_ID'",
    "channel": "whatsapp",
    "recipient": "+15550100",
    "body": "Hello, right on time."
  }'`}
          />
          <Step
            title="Tick"
            note="A scheduler does this every minute; by hand it works just as well, and answers with its report."
            command={`curl ${address}/api/cron/dm-queue \\
  -H "Authorization: Bearer $CRON_SECRET"`}
          />
        </ol>
      )}
    </section>
  );
}

function Step({ title, note, command }: { title: string; note: string; command: string }) {
  return (
    <li className="grid grid-cols-[minmax(0,1fr)] gap-2">
      <h3 className="font-semibold">{title}</h3>
      <p className="text-muted">{note}</p>
      <Command>{command}</Command>
    </li>
  );
}

function hasRows(queue: QueueStats): boolean {
  return Object.values(queue.states).some(({ count }) => count > 0);
}
