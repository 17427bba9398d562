import { notFound } from 'next/navigation';
import { Section } from '@/components/section.tsx';
import { ActList } from '../../../activity/act-list.tsx';
import { readSettings } from '../../../dal/settings.ts';
import { readVisitor } from '../../../dal/visitor.ts';
import { Part } from '../../../shell/part.tsx';
import { oneOf } from '../../../shell/query.ts';
import { QueueHeader } from '../queue-header.tsx';
import { PartitionLinks } from './partition-links.tsx';
import { PauseBox } from './pause-box.tsx';
import { partitionFields, queueFields } from './setting-fields.ts';
import { SettingsForm } from './settings-form.tsx';
import { measureTicks, settingsInForce, speedInWords } from './tick-load.ts';

/** “Run a tick now” runs it in this page’s call. */
export const maxDuration = 60;

export async function generateMetadata({ params }: PageProps<'/queues/[queue]/settings'>) {
  return { title: `Settings of ${(await params).queue}` };
}

/** Answers: how fast may it go, is it paused, and who changed what? */
export default async function SettingsPage({ params, searchParams }: PageProps<'/queues/[queue]/settings'>) {
  const { queue: name } = await params;
  const { partition = null } = oneOf(await searchParams);
  const { mayAct } = await readVisitor();
  return (
    <>
      <QueueHeader
        queue={name}
        tab="/settings"
        title={partition ?? 'Settings'}
        isBelow={partition !== null}
      />
      <Part read={() => readSettings(name)} height="h-screen">
        {({ settings, queue, ticks }) => {
          const one = partition === null ? settings : settings.partitions.find((p) => p.name === partition);
          if (!one) notFound();
          const which = { queue: name, partition, mayAct };
          // Each partition has ticks of its own.
          const ticked = partition ?? ticks[0]?.partition;
          const load = measureTicks(ticks.filter((tick) => tick.partition === ticked));
          const inForce = settingsInForce(settings.settings, one.settings);
          const fields = partition === null ? queueFields : partitionFields;
          return (
            <>
              <PauseBox {...which} paused={one} />
              <SettingsForm
                {...which}
                fields={fields}
                settings={one.settings}
                inForce={inForce}
                speed={speedInWords(inForce, load)}
              />
              {partition === null && <PartitionLinks queue={name} partitions={settings.partitions} />}
              <Section id="changes" heading={`The last ten acts on ${name}`}>
                <ActList
                  acts={settings.acts}
                  names={{ words: new Map([[name, queue.words]]), accounts: new Map() }}
                />
              </Section>
            </>
          );
        }}
      </Part>
    </>
  );
}
