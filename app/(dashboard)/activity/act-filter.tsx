import { SECONDARY_BUTTON } from '@/components/acts/confirm-buttons.tsx';
import { Field, SelectField } from '@/components/acts/field.tsx';

interface ActFilterProps {
  queues: string[];
  queue?: string;
  by?: string;
}

/** Draws the filters of the activity, which stand in the address. */
export function ActFilter({ queues, queue, by }: ActFilterProps) {
  return (
    <form action="/activity" className="flex flex-wrap items-end gap-3">
      <Field name="by" label="Who" defaultValue={by} maxLength={200} placeholder="Mira" />
      <SelectField name="queue" label="Queue" defaultValue={queue ?? ''}>
        <option value="">all</option>
        {queues.map((name) => (
          <option key={name}>{name}</option>
        ))}
      </SelectField>
      <button type="submit" className={SECONDARY_BUTTON}>
        Filter
      </button>
    </form>
  );
}
