import type { VirtualClock } from '../../lib/testing/virtual-clock.ts';
import type { Faults, Refusal } from './faults.ts';
import type { ProviderModel } from './provider-model.ts';
import type { RandomStream } from './random.ts';
import type { SimulatedStore } from './simulated-store.ts';
import { chatOf, feedOf, hour, minute, type World } from './world.ts';

interface UnknownRow {
  id: string;
  account: { id: string } | null;
  reconcile: { waits_for_operator?: boolean } | null;
  row: { body: string; chat_id: string | null; recipient: string | null };
}

/** A person who changes settings, and decides about unknown rows from the provider's own record. */
export class Operator {
  /** Rows with a decision, as queue/id. */
  readonly decisions = new Set<string>();

  constructor(
    private readonly world: World,
    private readonly clock: VirtualClock,
    private readonly faults: Faults,
    private readonly random: RandomStream,
    private readonly store: SimulatedStore,
    private readonly provider: ProviderModel,
  ) {}

  begin(): void {
    const intervene = () => {
      if (this.clock.now() >= this.world.quietAt) return;
      void this.intervene();
      this.clock.timer(this.random.magnitude(1, 12) * hour, intervene);
    };
    const decide = () => {
      void this.decideUnknowns('dm_queue').then(() => this.decideUnknowns('posts'));
      this.clock.timer(this.random.between(2, 8) * hour, decide);
    };
    this.clock.timer(this.random.between(0.2, 6) * hour, intervene);
    this.clock.timer(this.random.between(1, 8) * hour, decide);
    this.clock.timer(this.world.quietAt - this.world.startAt, () => void this.setQueuePause(null));
    for (const refusal of this.faults.refusals) {
      if (refusal.endedAt !== null)
        this.clock.timer(refusal.endedAt - this.world.startAt, () => void this.endRefusal(refusal));
    }
  }

  private async intervene(): Promise<void> {
    const { random, store } = this;
    if (this.faults.databaseOutage()) return;
    const account = random.pick(this.world.accounts);
    const change = (column: string, value: unknown) =>
      store.sql(`update punctual.accounts set ${column} = $2 where id = $1`, [account.id, value]);
    await random.pick([
      () => change('paused_until', this.instant(random.magnitude(0.2, 24) * hour)),
      () => change('paused_until', null),
      () => change('daily_limit', random.integer(1, 20)),
      () => change('hourly_limit', random.chance(0.3) ? null : random.integer(1, 6)),
      () => change('gap_seconds', random.chance(0.3) ? null : Math.round(random.magnitude(20, 3_600))),
      () => this.cancelOne(),
      () => this.cancelOne(),
      () => this.retryFailed(),
      () => this.retryFailed(),
      async () => {
        const queue = random.pick(['dm_queue', 'dm_queue', 'posts', 'jobs']);
        await this.setQueuePause(this.instant(0), queue);
        this.clock.timer(random.magnitude(5, 90) * minute, () => void this.setQueuePause(null, queue));
      },
    ])();
  }

  private async endRefusal({ provider, accountId }: Refusal): Promise<void> {
    if (this.faults.databaseOutage()) return;
    const account = this.world.accounts.find(({ provider_account_id }) => provider_account_id === accountId);
    const args = { p_provider: provider, p_account_id: account?.id ?? null };
    // PT404: no call met the refusal, or a row was already tried again.
    const ended = await this.store.call('end_refusal', args, 'PT404');
    if (ended !== null) this.faults.count('refusal: ended by the operator');
  }

  /** Sets the pause of one queue, or of all queues if none is named. */
  private setQueuePause(at: string | null, queue: string | null = null): Promise<unknown> {
    return this.store.sql(
      `update punctual.queues set paused_at = $1, paused_reason = 'by the operator' where name = coalesce($2, name)`,
      [at, queue],
    );
  }

  private cancelOne(): Promise<unknown> {
    return this.store.sql(
      `update punctual.dm_queue set status = 'cancelled', finished_at = current_setting('simulation.now')::timestamptz
        where status = 'pending' and id = (select id from punctual.dm_queue where status = 'pending' order by id offset $1 limit 1)`,
      [this.random.integer(0, 20)],
    );
  }

  /** Has all rows of a queue tried again that failed, some at a time. The queue's ticks run the action. */
  private async retryFailed(): Promise<void> {
    const queue = this.random.pick(['dm_queue', 'dm_queue', 'posts', 'jobs', 'enrolments']);
    const first = this.random.chance(0.3) ? { first: this.random.integer(1, 5) } : {};
    const action = (await this.store.call('start_action', {
      p_queue: queue,
      p_action: 'retry',
      p_filter: { status: ['dead'] },
      p_arguments: first,
      p_by: 'the operator',
    })) as { id?: string };
    if (action.id) this.faults.count('failed rows: tried again by the operator');
  }

  private async decideUnknowns(queue: 'dm_queue' | 'posts'): Promise<void> {
    if (this.faults.databaseOutage()) return;
    const { items: rows } = (await this.store.call('list_rows', {
      p_queue: queue,
      p_filter: { status: ['unknown'], decide: true },
      p_limit: 50,
    })) as { items: UnknownRow[] };
    for (const row of rows) {
      if (!row.reconcile?.waits_for_operator) continue;
      const decision = await this.truthOf(queue, row);
      if (!decision) continue;
      // PT409: a webhook has resolved the row since it was listed.
      const resolved = await this.store.call(
        'resolve_row',
        {
          p_queue: queue,
          p_id: row.id,
          p_decision: decision,
          p_by: 'the operator',
          p_note: null,
        },
        'PT409',
      );
      if (resolved !== null) this.decisions.add(`${queue}/${row.id}`);
    }
  }

  /** Returns the right decision by the provider's record, or null if the record cannot tell yet. */
  private async truthOf(
    queue: 'dm_queue' | 'posts',
    { id: rowId, row, account: owner }: UnknownRow,
  ): Promise<'done' | 'pending' | null> {
    const account = this.world.accounts.find(({ id }) => id === owner?.id);
    if (!account) return null;
    const chat =
      queue === 'posts'
        ? feedOf(account.provider_account_id)
        : account.provider === 'whatsapp_cloud'
          ? row.recipient
          : (row.chat_id ?? chatOf(account.provider_account_id, row.recipient ?? ''));
    const sent = this.provider.messages.filter(
      (message) =>
        message.accountId === account.provider_account_id &&
        message.chatId === chat &&
        message.text === row.body &&
        !message.failed &&
        !message.byHand,
    );
    // Over WhatsApp a message's reference names its row. Elsewhere there is no reference.
    const names = new Set(sent.flatMap(({ reference }) => reference?.split('/')[1] ?? []));
    if (names.has(rowId)) return 'done';
    // Messages without a reference cannot be matched to rows, so count the messages against the done rows, deleted ones included.
    const twins = await this.store.sql(
      `select jsonb_build_object('named', coalesce(jsonb_agg(id) filter (where id = any ($3)), '[]'),
         'done', count(*) filter (where simulation.state_of(status) = 'done' and id <> all ($3)),
         'running', count(*) filter (where simulation.state_of(status) = 'running')) as answer
         from (select id::text, status from punctual.${queue} where account_id = $1 and body = $2
               union all
               select row_id, content->>'status' from simulation.gone
                where queue = '${queue}' and content->>'account_id' = $1::text and content->>'body' = $2) twins`,
      [account.id, row.body, `{${[...names]}}`],
    );
    if (account.provider === 'unipile' && twins.running > 0) return null;
    const known = new Set<string>(twins.named);
    const unnamed = sent.filter(({ reference }) => !known.has(reference?.split('/')[1] ?? '')).length;
    return unnamed > twins.done ? 'done' : 'pending';
  }

  private instant(fromNowMs: number): string {
    return new Date(this.clock.now() + fromNowMs).toISOString();
  }
}
