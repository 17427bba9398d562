import type { VirtualClock } from '../../lib/testing/virtual-clock.ts';
import { textOf } from './enrolment-stories.ts';
import type { Faults } from './faults.ts';
import type { RandomStream } from './random.ts';
import type { FinishedRun, PacedRun } from './run-simulation.ts';
import { type Enrolled, isChatOf } from './sequence-operator.ts';
import type { SimulatedStore } from './simulated-store.ts';
import type { SqlOperator } from './sql-operator.ts';
import { hour, type Intent, type World } from './world.ts';

/** The span that the restored database does not know. */
export interface LostTime {
  from: number;
  to: number;
  /** Ids of the rows that the restore removed. */
  dms: Set<string>;
  posts: Set<string>;
}

type Enqueue = (queue: 'dm_queue' | 'posts', intent: Intent) => Promise<void>;

/** A paused enrolment, with its next message or the one on its way. */
interface Paused {
  id: string;
  step: number;
  isReminder: boolean;
  isOnItsWay: boolean;
}

/** An operator who restores the database to an earlier instant after a run, and then follows docs/restore.md. */
export class Restorer {
  /** How many database calls the saved copy contains. */
  private savedCalls = 0;

  constructor(
    private readonly world: World,
    private readonly clock: VirtualClock,
    private readonly faults: Faults,
    private readonly random: RandomStream,
    private readonly store: SimulatedStore,
    private readonly sqlOperator: SqlOperator,
    private readonly log: (line: () => string) => void,
  ) {}

  begin(): void {
    const { restoresTo } = this.world;
    if (restoresTo === null) return;
    this.clock.timer(restoresTo - this.clock.now(), () => {
      this.savedCalls = this.store.database.calls;
      void this.clock.busy(this.store.database.save());
    });
  }

  /** Restores and repairs the database, then waits until nothing is left to do. No process may run. `before`: the finished run. */
  async restore(since: number, before: FinishedRun, enqueue: Enqueue): Promise<LostTime> {
    const to = Math.floor(this.clock.now());
    await this.clock.busy(this.store.database.goBack());
    this.faults.count('database: gone back');
    await this.keepIdsApart();
    const lost = {
      from: since,
      to,
      dms: await this.lostOf(before),
      posts: await this.lostOf(before.posts),
    };
    await this.afterRestore(since);
    await this.wait(this.random.between(0.1, 1));
    // The rest of the world has not gone back. Callers queue their rows again, and people's replies are reported again.
    for (const [id, intent] of before.intents)
      if (intent.idempotencyKey !== null && lost.dms.has(id)) await enqueue('dm_queue', intent);
    for (const [id, intent] of before.posts.intents)
      if (intent.idempotencyKey !== null && lost.posts.has(id)) await enqueue('posts', intent);
    await this.reportReplies(before, since);
    await this.afterRestore(since);
    await this.wait(this.random.between(1, 6));
    await this.sqlOperator.cancelForgotten(this.savedCalls);
    await this.resume(before);
    await this.store.sql('update punctual.queues set paused_at = null, paused_reason = null');
    // after_restore pauses accounts until their next day.
    await this.wait(30);
    return lost;
  }

  private async afterRestore(since: number): Promise<void> {
    const summary = await this.store.call('after_restore', { p_since: new Date(since).toISOString() });
    this.log(() => `restored: ${JSON.stringify(summary)}`);
  }

  private wait(hours: number): Promise<void> {
    return this.clock.run(
      new Promise((resolve) => void this.clock.timer(Math.round(hours * hour), () => resolve())),
    );
  }

  /** A restored database would give out ids a second time. Skips them, so that an id in the provider's record means one row. */
  private async keepIdsApart(): Promise<void> {
    await this.store.sql(
      `select to_jsonb(count(setval(format('%I.%I', schemaname, sequencename), coalesce(last_value, 1) + 1000000))) as answer
         from pg_sequences where schemaname in ('punctual', 'simulation')`,
    );
  }

  private async lostOf({ queue, intents }: PacedRun): Promise<Set<string>> {
    const there = new Set<string>(
      await this.store.sql(
        `select coalesce(jsonb_agg(id), '[]') as answer from (select id::text from punctual.${queue}
           union all select row_id from simulation.gone where queue = '${queue}') known`,
      ),
    );
    return new Set([...intents.keys()].filter((id) => !there.has(id)));
  }

  /** Reports the replies that enrolled people wrote after that instant. */
  private async reportReplies({ enrolled, messages }: FinishedRun, since: number): Promise<void> {
    const there = new Set<string>(
      await this.store.sql(`select coalesce(jsonb_agg(id::text), '[]') as answer from punctual.enrolments`),
    );
    const known = [...enrolled.values()].filter(({ id }) => there.has(id));
    for (const message of messages) {
      if (message.fromUs || message.deliveredAt < since) continue;
      const owner = known.findLast((one) => isChatOf(one, message));
      if (!owner) continue;
      const said_at = new Date(message.saidAt).toISOString();
      const reply = { body: message.text, message_id: message.id, said_at };
      await this.store.call('take_reply', { p_id: owner.id, p_reply: reply });
      this.log(() => `enrolment ${owner.id}: reported again: "${message.text}"`);
    }
  }

  /** Resumes paused enrolments, and stops those whose person got a later message than the database knows. */
  private async resume({ enrolled, messages }: FinishedRun): Promise<void> {
    const paused: Paused[] = await this.store.sql(
      `select coalesce(jsonb_agg(jsonb_build_object('id', e.id::text, 'step', coalesce(d.step, e.step),
         'isReminder', coalesce(d.is_reminder, e.action = 'remind'), 'isOnItsWay', d.id is not null) order by e.id), '[]') as answer
         from punctual.enrolments e left join punctual.dm_queue d on d.id = e.message_id
        where e.paused_at is not null and not punctual.is_over(e)`,
    );
    for (const one of paused) {
      const person = enrolled.get(one.id);
      if (!person) continue;
      const wasSent = laterTexts(person, one).some((text) =>
        messages.some((message) => message.text === text && isChatOf(person, message) && !message.failed),
      );
      this.log(() => `enrolment ${one.id}: ${wasSent ? 'its later steps went out' : 'goes on'}`);
      await this.store.call(wasSent ? 'stop_enrolment' : 'resume_enrolment', { p_id: one.id }, 'PT409');
    }
  }
}

/** Returns the texts after the message on its way. If none is on its way, the texts from the next message on. */
function laterTexts(person: Enrolled, { step, isReminder, isOnItsWay }: Paused): string[] {
  const messages = person.steps.flatMap((_, n) => [
    { step: n + 1, isReminder: false },
    { step: n + 1, isReminder: true },
  ]);
  const at = messages.findIndex((one) => one.step === step && one.isReminder === isReminder);
  return messages.slice(at + (isOnItsWay ? 1 : 0)).map((one) => textOf(person, one.step, one.isReminder));
}
