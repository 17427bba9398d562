import { ActForm } from '@/components/acts/act-form.tsx';
import { Field } from '@/components/acts/field.tsx';
import { InstantField } from '@/components/acts/instant-field.tsx';
import type { AccountWithPace } from '@/lib/operate/account-pace.ts';
import { accountState } from '../account-words.ts';
import { changeLimits, pause, resume } from './account-acts.ts';

/** Draws the forms that pause or resume an account and change its limits. */
export function AccountButtons({ account }: { account: AccountWithPace }) {
  const { id, refused, daily_limit, hourly_limit, gap_seconds } = account;
  // A pause that has ended is still in the account.
  const isHeld = ['paused', 'refused'].includes(accountState(account, Date.now()).word);
  return (
    <div className="grid gap-3">
      {isHeld && <ActForm act={resume.bind(null, id)} submit={refused === null ? 'Resume' : 'Try again'} />}
      <details>
        <summary className="min-h-9 cursor-pointer py-2 font-medium">Pause…</summary>
        <ActForm
          act={pause.bind(null, id)}
          submit="Pause the account"
          className="mt-2 grid max-w-xl gap-4 sm:grid-cols-2"
        >
          <Field
            name="reason"
            label="Reason"
            required
            maxLength={200}
            hint="Shown on Today, and recorded with your name."
          />
          <InstantField name="until" label="Until" hint="Empty: until somebody resumes. Its rows wait." />
        </ActForm>
      </details>
      <details>
        <summary className="min-h-9 cursor-pointer py-2 font-medium">Change limits…</summary>
        <ActForm
          act={changeLimits.bind(null, id)}
          submit="Save limits"
          className="mt-2 grid max-w-2xl gap-4 sm:grid-cols-3"
        >
          <Field
            type="number"
            name="daily_limit"
            label="A day"
            required
            min={0}
            max={100_000}
            defaultValue={daily_limit}
            hint="In each queue. 0 to 100,000"
          />
          <Field
            type="number"
            name="hourly_limit"
            label="In any 60 minutes"
            min={1}
            max={1_000}
            defaultValue={hourly_limit ?? ''}
            hint="1 to 1,000; empty: no limit"
          />
          <Field
            type="number"
            name="gap_seconds"
            label="Seconds between two"
            min={0}
            max={86_400}
            defaultValue={gap_seconds ?? ''}
            hint="0 to 86,400; empty: none"
          />
        </ActForm>
      </details>
    </div>
  );
}
