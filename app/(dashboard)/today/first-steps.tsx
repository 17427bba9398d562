import Link from 'next/link';
import { Fragment } from 'react';
import { ActForm } from '@/components/acts/act-form.tsx';
import { Command } from '@/components/command.tsx';
import { LINK, rowHref } from '@/components/link.ts';
import type { QueueStats } from '@/lib/store/stats.ts';
import { sendTest } from './send-test-row.ts';

interface FirstStepsProps {
  queues: QueueStats[];
  /** The test rows, the latest first. */
  tests: string[];
  /** The scheme and host of this app, without a trailing slash. */
  address: string;
  mayAct: boolean;
}

/** Draws the first steps, for a database without rows. */
export function FirstSteps({ queues, tests, address, mayAct }: FirstStepsProps) {
  return (
    <section aria-labelledby="first-steps" className="rounded-xl border border-line bg-surface p-5 sm:p-6">
      <h2 id="first-steps" className="text-base font-semibold tracking-tight">
        {queues.length === 0 ? 'No queue is registered yet' : 'No queue has rows yet'}
      </h2>
      {queues.length === 0 ? (
        <p className="mt-1 text-muted">
          The database responds, but has no queues. Run{' '}
          <code className="font-mono text-[0.8125rem] text-ink">npm run migrate</code> against it.
        </p>
      ) : (
        <>
          {(mayAct || tests.length > 0) && <TestRow tests={tests} mayAct={mayAct} />}
          <ol className="mt-4 grid grid-cols-[minmax(0,1fr)] gap-5">
            <Step
              title="Add an account to send as"
              note="The response has its id. Post the same account again to change it."
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
              note="It is due immediately. Set send_at to send it later."
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
              title="Run a tick"
              note="A scheduler calls this every minute. Your own call works too: its response is the tick’s report."
              command={`curl ${address}/api/cron/dm-queue \\
  -H "Authorization: Bearer $CRON_SECRET"`}
            />
          </ol>
        </>
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

function TestRow({ tests, mayAct }: { tests: string[]; mayAct: boolean }) {
  return (
    <div className="mt-3 grid gap-3">
      <p className="text-muted">
        A test row is a job that does nothing. It needs no account, and its page shows when a tick runs it.
      </p>
      {tests.length > 0 && (
        <p>
          Sent:{' '}
          {tests.map((id, n) => (
            <Fragment key={id}>
              {n > 0 && ', '}
              <Link href={rowHref('jobs', id)} prefetch={false} className={LINK}>
                row {id} of jobs
              </Link>
            </Fragment>
          ))}
        </p>
      )}
      {mayAct && <ActForm act={sendTest} submit="Send a test row" isPrimary={tests.length === 0} />}
    </div>
  );
}
