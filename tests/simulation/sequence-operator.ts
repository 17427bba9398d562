import type { VirtualClock } from '../../lib/testing/virtual-clock.ts';
import type { DrawnBatch, DrawnPerson, DrawnSequence, Step } from './draw-sequences.ts';
import type { Faults } from './faults.ts';
import type { ProviderMessage, ProviderModel } from './provider-model.ts';
import type { RandomStream } from './random.ts';
import type { SimulatedStore } from './simulated-store.ts';
import { chatWith, hour, minute, second, type World } from './world.ts';

/** A person who was enrolled, with the steps and the zone that applied at that instant. */
export interface Enrolled {
  id: string;
  at: number;
  person: DrawnPerson;
  steps: Step[];
  zone: string;
}

/** An operator's change of an enrolment that the database accepted. */
export interface Act {
  at: number;
  enrolmentId: string;
  kind: 'pause' | 'resume' | 'stop';
}

interface Unmatched {
  id: string;
  account_id: string | null;
  chat_id: string | null;
  received_at: string;
}

/** An operator who creates and edits sequences, enrols people, and pauses, resumes and stops enrolments. */
export class SequenceOperator {
  readonly enrolled = new Map<string, Enrolled>();
  readonly acts: Act[] = [];
  /** When a reply was first assigned to an enrolment, by enrolment id. */
  readonly assigned = new Map<string, number>();
  private readonly ids = new Map<string, string>();
  private readonly inForce = new Map<string, DrawnSequence['versions'][number]>();

  constructor(
    private readonly world: World,
    private readonly clock: VirtualClock,
    private readonly faults: Faults,
    private readonly random: RandomStream,
    private readonly store: SimulatedStore,
    private readonly log: (line: () => string) => void,
    provider: ProviderModel,
    /** The accounts' current time zones, by account id. */
    private readonly zones: Map<string, string>,
  ) {
    // Acts that race with a message at the provider, or with an enrolment that a tick has claimed.
    provider.onMessage((message) => {
      const [recipient] = [...this.enrolled.values()].filter((enrolled) => isChatOf(enrolled, message));
      if (recipient && message.fromUs && !message.byHand) this.interrupt(recipient.id, 10 * second);
    });
    store.onClaim((queue, ids) => {
      if (queue === 'enrolments') for (const id of ids) this.interrupt(id, 50);
    });
  }

  async begin(): Promise<void> {
    const { world, random } = this;
    if (world.batches.length === 0) return;
    for (const sequence of world.sequences) await this.create(sequence);
    for (const batch of world.batches) this.at(batch.at, () => this.enrol(batch));
    const intervene = () => {
      if (this.clock.now() >= world.quietAt) return;
      if (!this.faults.databaseOutage()) void this.intervene();
      this.clock.timer(random.magnitude(0.2, 5) * hour, intervene);
    };
    this.clock.timer(random.between(0.2, 5) * hour, intervene);
    this.at(world.quietAt, () => this.resumeAll());
  }

  /** Acts at that time, or as soon as the database is reachable again. */
  private at(at: number, act: () => Promise<unknown>): void {
    this.clock.timer(at - this.clock.now(), () => {
      if (this.faults.databaseOutage()) this.at(this.clock.now() + 10 * minute, act);
      else void act();
    });
  }

  private async create(sequence: DrawnSequence): Promise<void> {
    const { name, channel, versions } = sequence;
    const [first, ...edits] = versions;
    if (!first) return;
    const { id } = (await this.store.call('create_sequence', {
      p_sequence: { name, channel, time_zone: first.timeZone, steps: first.steps },
    })) as { id: string };
    this.ids.set(name, id);
    this.inForce.set(name, first);
    this.log(() => `${name}: ${JSON.stringify(first)}`);
    for (const edit of edits) {
      this.at(edit.at, async () => {
        this.inForce.set(name, edit);
        this.log(() => `${name} is edited: ${JSON.stringify(edit)}`);
        await this.store.call('update_sequence', {
          p_id: id,
          p_changes: { steps: edit.steps, time_zone: edit.timeZone },
        });
      });
    }
  }

  private async enrol({ sequence, people, again, repeats }: DrawnBatch): Promise<void> {
    const { name } = sequence;
    const version = this.inForce.get(name);
    const at = Math.floor(this.clock.now());
    const { rows } = (await this.store.call('enrol_people', {
      p_sequence_id: this.ids.get(name),
      p_people: people.map((person) => ({
        account_id: person.account.id,
        chat_id: person.chatId,
        recipient: person.recipient,
        variables: person.variables,
        time_zone: person.timeZone,
        start_at: person.startAt && new Date(person.startAt).toISOString(),
        priority: person.priority,
      })),
      p_again: again,
    })) as { rows: { id: string; created: boolean }[] };
    for (const [n, { id, created }] of rows.entries()) {
      const person = people[n];
      if (!created || !person || !version) continue;
      const zone = person.timeZone ?? version.timeZone ?? this.zones.get(person.account.id) ?? '';
      this.log(() => `enrolment ${id} of ${person.recipient ?? person.chatId} in ${name}, ${zone}`);
      this.enrolled.set(id, { id, at, person, steps: version.steps, zone });
    }
    if (repeats) {
      const once = { sequence, people, again: false, repeats: false, at: 0 };
      this.at(this.clock.now() + this.random.magnitude(1, 600) * second, () => this.enrol(once));
    }
  }

  private async intervene(): Promise<void> {
    const { random } = this;
    const id = random.chance(0.6) ? await this.findBusy() : random.pick([...this.enrolled.keys()]);
    if (id === undefined) return;
    switch (random.weighted({ pause: 4, stop: 1, resume: 2, 'resume one that failed': 2, assign: 2 })) {
      case 'pause':
        return this.pause(id);
      case 'stop':
        return this.act('stop', id);
      case 'resume':
        return this.act('resume', id);
      case 'assign':
        return this.assignReplies();
      default: {
        const failed = await this.find(`select id::text from punctual.enrolments where phase = 'failed'`);
        if (failed !== undefined) await this.act('resume', failed);
      }
    }
  }

  private interrupt(id: string, maxDelayMs: number): void {
    if (!this.faults.strikes(0.04, this.random)) return;
    this.at(this.clock.now() + this.random.magnitude(1, maxDelayMs), async () => {
      if (this.random.chance(0.3)) await this.act('stop', id);
      else await this.pause(id);
    });
  }

  private async pause(id: string): Promise<void> {
    await this.act('pause', id);
    if (this.random.chance(0.8)) {
      this.at(this.clock.now() + this.random.magnitude(1, 600) * minute, () => this.act('resume', id));
    }
  }

  private async act(kind: Act['kind'], enrolmentId: string): Promise<void> {
    // After a restore the Restorer decides which enrolments go on.
    if (this.clock.now() >= this.world.endAt) return;
    const at = Math.floor(this.clock.now());
    const enrolment = await this.store.call(`${kind}_enrolment`, { p_id: enrolmentId }, 'PT409');
    if (enrolment === null) return;
    this.acts.push({ at, enrolmentId, kind });
    this.log(() => `enrolment ${enrolmentId}: ${kind}`);
  }

  /** Finds an enrolment whose message is queued or being sent, because there an act races with a tick. */
  private findBusy(): Promise<string | undefined> {
    return this.find(
      `select distinct d.enrolment_id::text as id from punctual.dm_queue d
        where d.enrolment_id is not null and d.status in ('pending', 'sending', 'unknown')`,
    );
  }

  private async find(ids: string): Promise<string | undefined> {
    const found: string[] = await this.store.sql(
      `select coalesce(jsonb_agg(id order by id), '[]') as answer from (${ids}) found`,
    );
    return found.length > 0 ? this.random.pick(found) : undefined;
  }

  /** Lists the replies without a known sender, and assigns those whose sender the operator knows. */
  private async assignReplies(): Promise<void> {
    const { items: replies } = (await this.store.call('list_replies', {})) as { items: Unmatched[] };
    for (const reply of replies) {
      const owner = [...this.enrolled.values()].find(
        ({ at, person }) =>
          at <= Date.parse(reply.received_at) &&
          person.account.id === reply.account_id &&
          reply.chat_id === chatWith(person),
      );
      if (!owner) continue;
      if (!this.assigned.has(owner.id)) this.assigned.set(owner.id, Math.floor(this.clock.now()));
      await this.store.call('take_reply', { p_id: owner.id, p_reply: { receipt_id: reply.id } });
    }
  }

  private async resumeAll(): Promise<void> {
    const paused: string[] = await this.store.sql(
      `select coalesce(jsonb_agg(id::text order by id), '[]') as answer from punctual.enrolments
        where paused_at is not null and phase in ('in_progress', 'waiting_reply')`,
    );
    for (const id of paused) if (this.random.chance(0.9)) await this.act('resume', id);
  }
}

/** Whether the message is in the person's chat with the account. */
export function isChatOf(
  { person }: Enrolled,
  { accountId, chatId }: Pick<ProviderMessage, 'accountId' | 'chatId'>,
): boolean {
  return accountId === person.account.provider_account_id && chatId === chatWith(person);
}
