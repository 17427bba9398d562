import { describe, expect, it } from 'vitest';
import {
  boundsInWords,
  partitionFields,
  queueFields,
  readChanges,
} from '../../../../../app/(dashboard)/queues/[queue]/settings/setting-fields.ts';
import { changeSettings, readQueueSettings } from '../../../../../lib/operate/queue-settings.ts';
import { servedDatabase } from '../../../../support/fixtures.ts';

const database = servedDatabase();

const formOf = (values: Record<string, string>) => {
  const form = new FormData();
  for (const [name, value] of Object.entries(values)) form.set(name, value);
  return form;
};

describe('the form of the settings', () => {
  it('has a field for each setting that the API takes', async () => {
    const { settings, partitions } = await readQueueSettings(database.rpc, 'jobs');
    const names = (fields: { name: string }[]) => fields.map(({ name }) => name).sort();
    expect(names(queueFields)).toEqual(Object.keys(settings).sort());
    expect(names(partitionFields)).toEqual(Object.keys(partitions[0]?.settings ?? {}).sort());
  });

  it('has the bounds of the API', async () => {
    for (const { name, bounds, empty } of queueFields) {
      const change = async (value: unknown) =>
        changeSettings(database.rpc, 'jobs', undefined, { [name]: value }, 'a');
      if (bounds) await expect(change(bounds.min - 1), name).rejects.toThrow();
      if (bounds?.max) await expect(change(bounds.max + 1), name).rejects.toThrow();
      if (empty === null) await expect(change(null), name).rejects.toThrow();
      else await expect(change(null), name).resolves.toMatchObject({ settings: { [name]: null } });
    }
  });

  it('changes only what differs from the settings that it was drawn with', () => {
    const was = { batch_limit: 30, concurrency: 5, adaptive: false, budget_seconds: null };
    const same = { batch_limit: '30', concurrency: '5', adaptive: 'false', budget_seconds: '' };
    expect(readChanges(formOf(same), queueFields, was)).toEqual({});
    const changed = { ...same, batch_limit: '', concurrency: ' 8 ', adaptive: 'true' };
    expect(readChanges(formOf(changed), queueFields, was)).toEqual({
      batch_limit: null,
      concurrency: 8,
      adaptive: true,
    });
  });

  it('leaves what is no number to the schema, which refuses it', () => {
    expect(readChanges(formOf({ concurrency: 'many' }), queueFields, {})).toEqual({ concurrency: 'many' });
  });

  it('says the bounds', () => {
    expect(queueFields.map(boundsInWords).slice(0, 3)).toEqual([
      '1 or more; empty: no limit',
      '1 to 1,000',
      '',
    ]);
  });
});
