import type { VirtualClock } from '../../lib/testing/virtual-clock.ts';
import type { Faults } from './faults.ts';
import type { RandomStream } from './random.ts';
import type { SimulatedStore } from './simulated-store.ts';
import { drawHours, hour, minute, type QueueName, second, type World, zones } from './world.ts';

/** A change of a row by plain SQL. */
export interface HandAct {
  /** The call's number in the recorder. */
  call: number;
  queue: QueueName;
  rowId: string;
  kind: Kind;
}

type Kind = 'done' | 'dead' | 'cancelled' | 'pending again' | 'deleted' | 'due moved';

const kinds: Kind[] = ['done', 'dead', 'cancelled', 'pending again', 'deleted', 'due moved', 'due moved'];
const dueColumns: Record<QueueName, string> = {
  dm_queue: 'send_at',
  posts: 'scheduled_for',
  jobs: 'run_at',
};

/** An operator with a SQL console, who bypasses Punctual's functions while ticks run. */
export class SqlOperator {
  readonly acts: HandAct[] = [];
  /** The accounts' current time zones, by account id. */
  readonly zones: Map<string, string>;

  constructor(
    private readonly world: World,
    private readonly clock: VirtualClock,
    private readonly faults: Faults,
    private readonly random: RandomStream,
    private readonly store: SimulatedStore,
    private readonly log: (line: () => string) => void,
  ) {
    this.zones = new Map(world.accounts.map(({ id, time_zone }) => [id, time_zone]));
    // Changes that race with a tick: the row is being performed.
    store.onClaim((queue, ids) => {
      for (const id of ids) {
        if (queue === 'enrolments' || !this.faults.strikes(0.02, this.random)) continue;
        const kind = this.random.pick(['done', 'dead', 'cancelled', 'deleted', 'pending again'] as const);
        this.clock.timer(
          this.random.magnitude(1, 20 * second),
          () => void this.act(queue as QueueName, kind, id),
        );
      }
    });
  }

  begin(): void {
    const { random, world } = this;
    const intervene = () => {
      if (this.clock.now() >= world.quietAt) return;
      if (!this.faults.databaseOutage()) void this.intervene();
      this.clock.timer(random.magnitude(0.1, 4) * hour, intervene);
    };
    this.clock.timer(random.between(0.2, 4) * hour, intervene);
  }

  private async intervene(): Promise<void> {
    const { random } = this;
    if (random.chance(0.35)) return this.editAccount();
    const queue = random.pick(['dm_queue', 'dm_queue', 'posts', 'jobs'] as const);
    const kind = random.pick(kinds);
    await this.act(queue, kind, null);
  }

  private async editAccount(): Promise<void> {
    const { random } = this;
    const { id } = random.pick(this.world.accounts);
    const edit = random.pick(['time_zone', 'hours', 'gap_seconds', 'hours of a queue'] as const);
    this.faults.count(`by hand: ${edit}`);
    if (edit === 'hours of a queue') {
      const hours = random.chance(0.4) ? null : drawHours(random);
      const queue = random.pick(['dm_queue', 'posts']);
      await this.store.sql('update punctual.pace set hours = $3 where queue = $2 and account_id = $1', [
        id,
        queue,
        hours,
      ]);
      return;
    }
    const value =
      edit === 'time_zone'
        ? random.pick(zones)
        : edit === 'hours'
          ? random.chance(0.4)
            ? null
            : drawHours(random)
          : random.integer(0, 900);
    await this.store.sql(`update punctual.accounts set ${edit} = $2 where id = $1`, [id, value]);
    if (edit === 'time_zone') this.zones.set(id, value as string);
    this.log(() => `account ${id}: ${edit} is ${JSON.stringify(value)} by hand`);
  }

  /** Changes the given row, or any row in a fitting state. */
  private async act(queue: QueueName, kind: Kind, rowId: string | null): Promise<void> {
    const { random, store } = this;
    if (this.clock.now() >= this.world.quietAt || this.faults.databaseOutage()) return;
    const due = dueColumns[queue];
    const at = `current_setting('simulation.now')::timestamptz`;
    const movedTo = this.drawDue(at);
    // Sets finished_at too, because the default is the machine's time and not the simulated one.
    const settle = (state: string) =>
      `update punctual.${queue} t set status = q.${state}_word, finished_at = ${at}`;
    const set: Record<Kind, string> = {
      done: settle('done'),
      dead: `${settle('dead')}, last_error = 'given up by hand'`,
      cancelled: settle('cancelled'),
      'pending again': `update punctual.${queue} t set status = q.pending_word${random.chance(0.5) ? ', attempts = 0' : ''}`,
      deleted: `delete from punctual.${queue} t using`,
      'due moved': `update punctual.${queue} t set ${due} = ${movedTo}${random.chance(0.5) ? ', next_attempt_at = null' : ''}`,
    };
    const fits: Record<Kind, string[]> = {
      done: ['pending', 'unknown', 'dead'],
      dead: ['pending', 'unknown'],
      cancelled: ['pending', 'unknown'],
      'pending again': ['dead', 'cancelled', 'unknown'],
      deleted: ['pending', 'unknown', 'done', 'dead', 'cancelled'],
      'due moved': ['pending'],
    };
    // The message of a step may have a successor. A person who puts the old one back to pending sends it outside the sequence.
    const isAllowed =
      queue === 'dm_queue' && (kind === 'pending again' || kind === 'done')
        ? `(c.enrolment_id is null or (c.status not in ('failed', 'cancelled') and ${kind === 'done'}))`
        : // A message that never falls due stops its sequence for good, even if the enrolment is paused and resumed.
          queue === 'dm_queue' && kind === 'due moved' && movedTo === `'infinity'`
          ? 'c.enrolment_id is null'
          : 'true';
    const states = rowId === null ? fits[kind] : ['running'];
    const changing: Promise<string[]> = store.sql(
      `with changed as (${set[kind]} ${kind === 'deleted' ? '' : 'from'} punctual.queues q where q.name = '${queue}' and t.id = (
         select c.id from punctual.${queue} c where ${isAllowed} and simulation.state_of(c.status) in (select jsonb_array_elements_text($1::jsonb))
            and c.id = coalesce($2::bigint, c.id) order by md5(c.id || $3) limit 1) returning t.id)
       select coalesce(jsonb_agg(id::text), '[]') as answer from changed`,
      [JSON.stringify(states), rowId, `${random.next()}`],
    );
    // Read before another call raises the number.
    const { calls: call } = store.database;
    for (const id of await changing) {
      this.faults.count(`by hand: ${kind}${rowId === null ? '' : ', while it runs'}`);
      this.acts.push({ call, queue, rowId: id, kind });
      this.log(() => `${queue} ${id}: ${kind} by hand`);
    }
  }

  /** Cancels pending rows that a person settled as done or moved after that call, because the restored database does not know it. */
  async cancelForgotten(sinceCall: number): Promise<void> {
    for (const { call, queue, rowId, kind } of [...this.acts]) {
      if (call <= sinceCall || (kind !== 'due moved' && kind !== 'done') || queue === 'jobs') continue;
      const changing = this.store.sql(
        `with changed as (update punctual.${queue} t set status = 'cancelled', finished_at = current_setting('simulation.now')::timestamptz
           where t.id = $1 and simulation.state_of(t.status) = 'pending' returning t.id)
         select coalesce(jsonb_agg(id::text), '[]') as answer from changed`,
        [rowId],
      );
      this.acts.push({ call: this.store.database.calls, queue, rowId, kind: 'cancelled' });
      await changing;
    }
  }

  private drawDue(now: string): string {
    const { random } = this;
    return random.pick([
      `'-infinity'`,
      `'infinity'`,
      `${now} - interval '${Math.round(random.magnitude(1, 3_000))} minutes'`,
      `${now} + interval '${Math.round((random.magnitude(1, 30) * hour) / minute)} minutes'`,
    ]);
  }
}
