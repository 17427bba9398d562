import { ActForm } from '@/components/acts/act-form.tsx';
import { Field, SelectField } from '@/components/acts/field.tsx';
import { Section } from '@/components/section.tsx';
import { boundsInWords, type SettingField } from './setting-fields.ts';
import { change } from './settings-acts.ts';

interface SettingsFormProps {
  queue: string;
  partition: string | null;
  fields: SettingField[];
  settings: Record<string, unknown>;
  /** With the queue's where a partition has none. */
  inForce: Record<string, unknown>;
  /** What they mean at today's load. */
  speed: string;
  mayAct: boolean;
}

/** Draws each setting as a field with its bounds. A viewer sees the values. */
export function SettingsForm({
  queue,
  partition,
  fields,
  settings,
  inForce,
  speed,
  mayAct,
}: SettingsFormProps) {
  return (
    <Section id="settings" heading="Settings">
      <p className="max-w-prose">{speed}</p>
      {mayAct ? (
        <ActForm
          // Another partition has values of its own.
          key={partition}
          act={change.bind(null, queue, partition, settings)}
          submit="Save"
          className="grid gap-x-5 gap-y-4 sm:grid-cols-2 lg:grid-cols-3"
        >
          {fields.map((field) =>
            field.bounds === null ? (
              <YesOrNo key={field.name} field={field} value={settings[field.name]} />
            ) : (
              <Field
                key={field.name}
                type="number"
                name={field.name}
                label={field.label}
                defaultValue={text(settings[field.name])}
                placeholder={text(inForce[field.name])}
                min={field.bounds.min}
                max={field.bounds.max ?? undefined}
                required={field.empty === null}
                hint={`${field.meaning} ${boundsInWords(field)}`}
              />
            ),
          )}
          <Field
            name="note"
            label="Note"
            maxLength={1_000}
            placeholder="why"
            hint="Recorded with your name."
            className="col-span-full max-w-xl"
          />
        </ActForm>
      ) : (
        <dl className="grid gap-x-5 gap-y-4 sm:grid-cols-2 lg:grid-cols-3">
          {fields.map((field) => (
            <div key={field.name}>
              <dt className="text-muted">{field.label}</dt>
              <dd className="font-semibold">{shown(field, settings[field.name])}</dd>
              <dd className="text-xs text-muted">{field.meaning}</dd>
            </div>
          ))}
        </dl>
      )}
    </Section>
  );
}

function YesOrNo({ field: { name, label, meaning, empty }, value }: { field: SettingField; value: unknown }) {
  return (
    <SelectField name={name} label={label} defaultValue={text(value)} hint={meaning}>
      {empty !== null && <option value="">{empty}</option>}
      <option value="true">yes</option>
      <option value="false">no</option>
    </SelectField>
  );
}

function shown({ empty }: SettingField, value: unknown): string {
  if (value === null) return empty ?? '–';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  return typeof value === 'number' ? value.toLocaleString('en-US') : String(value);
}

const text = (value: unknown) => (value === null || value === undefined ? '' : String(value));
