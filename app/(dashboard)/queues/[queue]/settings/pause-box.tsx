import { ActForm } from '@/components/acts/act-form.tsx';
import { Field } from '@/components/acts/field.tsx';
import { InstantField } from '@/components/acts/instant-field.tsx';
import { Section } from '@/components/section.tsx';
import { ClockTime, RelativeTime } from '@/components/time/relative-time.tsx';
import { pause, resume, runTick } from './settings-acts.ts';

interface PauseBoxProps {
  queue: string;
  partition: string | null;
  paused: { paused_at: string | null; paused_until: string | null; paused_reason: string | null };
  mayAct: boolean;
}

/** Draws whether a queue or a partition is paused, and the buttons that pause it, resume it or run a tick. */
export function PauseBox({ queue, partition, paused, mayAct }: PauseBoxProps) {
  const { paused_at: at, paused_until: until, paused_reason: reason } = paused;
  return (
    <Section id="pause" heading={at === null ? 'It runs' : 'It is paused'}>
      {at !== null && (
        <div className="grid gap-3">
          <p className="text-warn">
            Paused <RelativeTime at={at} />
            {reason && `: ${reason}`}.{' '}
            {until === null ? (
              'It lasts until somebody resumes.'
            ) : (
              <>
                It ends by itself at <ClockTime at={until} />.
              </>
            )}
          </p>
          {mayAct && <ActForm key="resume" act={resume.bind(null, queue, partition)} submit="Resume" />}
        </div>
      )}
      {at === null && !mayAct && <p className="text-muted">It claims rows as they fall due.</p>}
      {at === null && mayAct && (
        <div className="flex flex-wrap items-start gap-x-6 gap-y-3">
          <ActForm key="run" act={runTick.bind(null, queue, partition)} submit="Run a tick now" />
          <details className="min-w-0 max-sm:w-full sm:flex-1">
            <summary className="min-h-9 cursor-pointer py-2 font-medium">Pause…</summary>
            <ActForm
              key="pause"
              act={pause.bind(null, queue, partition)}
              submit={partition === null ? `Pause ${queue}` : `Pause the partition ${partition}`}
              className="mt-2 grid max-w-xl gap-4 sm:grid-cols-2"
            >
              <Field
                name="reason"
                label="Reason"
                required
                maxLength={200}
                placeholder="wrong text in campaign 7"
                hint="Shown on Today, and recorded with your name."
              />
              <InstantField
                name="until"
                label="Until"
                hint="Empty: until somebody resumes. Rows that run are finished."
              />
            </ActForm>
          </details>
        </div>
      )}
    </Section>
  );
}
