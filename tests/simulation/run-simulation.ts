import { createHash } from 'node:crypto';
import type { CronCall } from '../../lib/cron/cron-call.ts';
import { partitionsHandler } from '../../lib/cron/handlers/partitions-handler.ts';
import { silentLog } from '../../lib/engine/ports/log.ts';
import { type ReconcileReport, reconcile } from '../../lib/engine/reconcile.ts';
import { type TickPorts, tick } from '../../lib/engine/tick.ts';
import type { TickReport } from '../../lib/engine/tick-report.ts';
import { dmQueue } from '../../lib/queues/dm-queue/queue.ts';
import { posts } from '../../lib/queues/posts/queue.ts';
import { enrolments } from '../../lib/queues/sequences/queue.ts';
import type { Services } from '../../lib/services/services.ts';
import { queueStore } from '../../lib/store/queue-store.ts';
import type { Rpc } from '../../lib/store/rpc.ts';
import { VirtualClock } from '../../lib/testing/virtual-clock.ts';
import type { SimulationDatabase } from './database.ts';
import type { DrawnJob } from './draw-jobs.ts';
import { textOf } from './enrolment-stories.ts';
import { type Fate, Faults } from './faults.ts';
import { FeedModel } from './feed-model.ts';
import { invariants } from './invariants/invariants.ts';
import { restoreKept } from './invariants/restore-kept.ts';
import type { Violation } from './invariants/violation.ts';
import { JobModel, type JobRun } from './job-model.ts';
import { Operator } from './operator.ts';
import { type ApiReply, People } from './people.ts';
import { type ProviderCall, type ProviderMessage, ProviderModel } from './provider-model.ts';
import { randomStreams } from './random.ts';
import {
  type EnrolmentChange,
  instant,
  readEnrolmentChanges,
  readSettingsChanges,
  readTransitions,
  type SettingsChange,
  type Transition,
} from './recorder.ts';
import { type LostTime, Restorer } from './restorer.ts';
import { type Call, startSchedulers } from './schedulers.ts';
import { type Act, type Enrolled, SequenceOperator } from './sequence-operator.ts';
import { SimulatedLocks } from './simulated-lock.ts';
import { SimulatedProcess } from './simulated-process.ts';
import { type BroughtOutcome, SimulatedStore } from './simulated-store.ts';
import { SqlOperator } from './sql-operator.ts';
import { type ReceivedReceipt, Webhooks } from './webhooks.ts';
import {
  drawWorld,
  hour,
  type Intent,
  minute,
  type QueueName,
  queueNames,
  second,
  type World,
} from './world.ts';

/** One queue of a finished run. */
export interface QueueRun {
  queue: QueueName;
  world: World;
  settings: SettingsChange[];
  rows: FinalRow[];
  transitions: Transition[];
  brought: BroughtOutcome[];
  /** The numbers of the calls that pruned. */
  prunes: Set<number>;
  /** Rows that a person settled or deleted by plain SQL: the outcome is that person's decision. */
  handled: Set<string>;
  /** Rows whose due time a person set by plain SQL, possibly over the time of a retry. */
  moved: Set<string>;
}

/** A queue whose rows go out through accounts, at most once. */
export interface PacedRun extends QueueRun {
  messages: ProviderMessage[];
  calls: ProviderCall[];
  /** The intent of each row, by row id. */
  intents: Map<string, Intent>;
}

export interface JobsRun extends QueueRun {
  runs: JobRun[];
  /** The drawn job of each row, by row id. */
  drawn: Map<string, DrawnJob>;
}

/** A finished run, as the invariants see it. The fields of `PacedRun` are those of dm_queue. */
export interface FinishedRun extends PacedRun {
  posts: PacedRun;
  jobs: JobsRun;
  broughtByEnrolments: BroughtOutcome[];
  receipts: ReceivedReceipt[];
  /** By enrolment id. */
  enrolled: Map<string, Enrolled>;
  enrolments: FinalEnrolment[];
  enrolmentChanges: EnrolmentChange[];
  acts: Act[];
  assigned: Map<string, number>;
  apiReplies: ApiReply[];
  /** Violations seen while the run was under way. */
  observed: Violation[];
  figures: Figures;
  log: string[];
}

/** A run that went on to a second end after its database was restored to an earlier instant. */
export interface RestoredRun extends FinishedRun {
  lost: LostTime;
}

/** A row at the end of the run. */
export interface FinalRow {
  id: string;
  /** Empty if the queue has no accounts. */
  accountId: string;
  /** The name of the state, not the queue's own word for it. */
  status: string;
  attempts: number;
  lastError: string | null;
  leaseExpiresAt: number | null;
  finishedAt: number | null;
  /** Who deleted the row; the other fields are its last values. Null if it exists. */
  gone: 'by retention' | 'by hand' | null;
  reconcileAt: number | null;
  reconcile: { waits_for_operator?: boolean; found?: string | null } | null;
  messageId: string | null;
  chatId: string | null;
  /** The enrolment that queued the message; null if none did. */
  enrolmentId: string | null;
  step: number | null;
  isReminder: boolean;
  explanation: { waits: { kind: string; until: string | null }[]; expected_at: string | null } | null;
}

/** An enrolment at the end of the run. */
export interface FinalEnrolment {
  id: string;
  status: string;
  phase: string;
  step: number;
  messageId: string | null;
  nextStepAt: number | null;
  waitsFor: string | null;
  paused: boolean;
  lastError: string | null;
}

export interface Figures {
  rows: number;
  ticks: number;
  kills: number;
  freezes: number;
  responsesLost: number;
  deliveries: number;
  webhooks: number;
  /** Enrolments by their last phase. */
  enrolments: Record<string, number>;
  /** How often a row stopped being unknown, by outcome and reason. */
  unknowns: Record<string, number>;
  /** Rows by queue and last state. */
  states: Record<string, number>;
  /** How often each fault occurred, by its name. */
  faults: Record<string, number>;
  seconds: number;
}

export interface SimulationResult {
  seed: number;
  days: number;
  violations: Violation[];
  figures: Figures;
  /** A hash of the whole run. The same seed always has the same hash. */
  hash: string;
}

/** Runs one seed to its end over a fresh database and checks every invariant. */
export async function runSimulation(
  { seed, days, onLog }: { seed: number; days: number; onLog?: (line: string) => void },
  open: () => Promise<SimulationDatabase>,
): Promise<SimulationResult> {
  const startedAt = performance.now();
  const database = await open();
  try {
    const simulation = new Simulation(drawWorld(seed, days), database, onLog);
    const run = await simulation.play();
    const broken = invariants.flatMap((invariant) => invariant(run));
    let hash = hashOf(run);
    const restored = await simulation.restore(run);
    if (restored) {
      broken.push(...restoreKept(run, restored));
      hash = `${hash}${hashOf(restored)}`;
    }
    run.figures.seconds = (performance.now() - startedAt) / 1_000;
    return { seed, days, violations: [...run.observed, ...broken], figures: run.figures, hash };
  } finally {
    await database.close();
  }
}

class Simulation {
  private readonly clock: VirtualClock;
  private readonly stream: ReturnType<typeof randomStreams>;
  private readonly faults: Faults;
  private readonly store: SimulatedStore;
  private readonly locks: SimulatedLocks;
  private readonly provider: ProviderModel;
  private readonly webhooks: Webhooks;
  private readonly operator: Operator;
  private readonly sqlOperator: SqlOperator;
  private readonly sequenceOperator: SequenceOperator;
  private readonly people: People;
  private readonly live = new Set<SimulatedProcess>();
  private readonly feed: FeedModel;
  private readonly jobs: JobModel;
  private readonly restorer: Restorer;
  private intents = { dm_queue: new Map<string, Intent>(), posts: new Map<string, Intent>() };
  private readonly drawnJobs = new Map<string, DrawnJob>();
  private readonly observed: Violation[] = [];
  private readonly log: string[] = [];
  private ticks = 0;
  private kills = 0;
  private freezes = 0;

  constructor(
    private world: World,
    database: SimulationDatabase,
    private readonly onLog: (line: string) => void = () => {},
  ) {
    const { clock, stream } = { clock: new VirtualClock(world.startAt), stream: randomStreams(world.seed) };
    this.clock = clock;
    this.stream = stream;
    this.faults = new Faults(world, () => clock.now(), stream);
    this.store = new SimulatedStore(database, clock, this.faults, stream('store'));
    this.store.onError = (fn, error) => this.observe('no SQL call fails', `${fn}: ${error.message}`);
    this.store.onStall = (details) => this.observe('no slowness stops a queue', details);
    this.locks = new SimulatedLocks(clock, this.faults, stream('locks'));
    this.provider = new ProviderModel(clock, this.faults, stream('provider'));
    this.feed = new FeedModel(world, clock, this.faults, stream('feeds'), this.provider);
    this.jobs = new JobModel(clock, this.faults, stream('job runs'));
    this.webhooks = new Webhooks(world, clock, this.faults, stream('webhooks'), this.store, this.provider);
    this.operator = new Operator(world, clock, this.faults, stream('operator'), this.store, this.provider);
    const { faults, store, provider } = this;
    const log = (line: () => string) => this.logLine(line);
    this.sqlOperator = new SqlOperator(world, clock, faults, stream('sql operator'), store, log);
    this.sequenceOperator = new SequenceOperator(
      world,
      clock,
      faults,
      stream('sequence operator'),
      store,
      log,
      provider,
      this.sqlOperator.zones,
    );
    this.people = new People(
      world,
      clock,
      faults,
      stream('people'),
      store,
      provider,
      this.sequenceOperator,
      log,
    );
    this.restorer = new Restorer(world, clock, faults, stream('restore'), store, this.sqlOperator, log);
  }

  async play(): Promise<FinishedRun> {
    await this.setUp();
    for (const intent of this.world.intents) this.at(intent.arrivesAt, () => this.enqueue(intent));
    for (const post of this.world.posts) this.at(post.arrivesAt, () => this.enqueuePost(post));
    for (const job of this.world.jobs) this.at(job.arrivesAt, () => this.createJob(job));
    this.feed.begin();
    this.operator.begin();
    this.sqlOperator.begin();
    this.restorer.begin();
    await this.sequenceOperator.begin();
    this.beginJumps();
    this.beginChatter();
    this.beginMaintenance();
    startSchedulers(
      { world: this.world, clock: this.clock, faults: this.faults, stream: this.stream },
      (call) => void this.startProcess(call),
    );
    await this.clock.run(
      new Promise<void>((resolve) => void this.clock.timer(this.world.endAt - this.clock.now(), resolve)),
    );
    return this.finish();
  }

  /** Restores the database to an earlier instant and runs on; returns null in a world without a restore. `before`: the run so far. */
  async restore(before: FinishedRun): Promise<RestoredRun | null> {
    const { restoresTo } = this.world;
    if (restoresTo === null) return null;
    for (const process of this.live) process.end();
    this.live.clear();
    this.jobs.goBack(restoresTo);
    this.intents = { dm_queue: new Map(before.intents), posts: new Map(before.posts.intents) };
    const enqueue = (queue: 'dm_queue' | 'posts', intent: Intent) =>
      queue === 'posts' ? this.enqueuePost(intent) : this.enqueue(intent);
    const lost = await this.restorer.restore(restoresTo, before, enqueue);
    for (const id of lost.dms) this.intents.dm_queue.delete(id);
    for (const id of lost.posts) this.intents.posts.delete(id);
    this.world = { ...this.world, endAt: this.clock.now() };
    return { ...(await this.finish()), lost };
  }

  private async setUp(): Promise<void> {
    const { accounts, maxTicks, concurrency, retentionDays } = this.world;
    for (const { override, ...account } of accounts) {
      await this.store.sql(
        `insert into punctual.accounts (${Object.keys(account)}) values (${Object.keys(account).map((_, i) => `$${i + 1}`)})`,
        Object.values(account),
      );
      for (const [column, value] of Object.entries(override)) {
        await this.store.sql(`update punctual.pace set ${column} = $2 where account_id = $1`, [
          account.id,
          value,
        ]);
      }
    }
    await this.store.sql('update punctual.queues set max_ticks = $1, concurrency = $2', [
      maxTicks,
      concurrency,
    ]);
    // The enrolments' queue keeps its rows, so that nobody is enrolled in the same sequence a second time.
    await this.store.sql('update punctual.queues set retention_days = $1 where name = any ($2)', [
      retentionDays,
      [...queueNames],
    ]);
    if (retentionDays !== null)
      await this.store.sql('update punctual.settings set ticks_days = $1, idle_ticks_days = $1', [
        retentionDays,
      ]);
  }

  private at(at: number, act: () => Promise<unknown>): void {
    this.clock.timer(at - this.clock.now(), () => void act());
  }

  private enqueue(intent: Intent): Promise<void> {
    return this.insert('dm_queue', intent, {
      account_id: intent.account.id,
      channel: intent.account.provider === 'unipile' ? 'linkedin' : 'whatsapp',
      chat_id: intent.chatId,
      recipient: intent.recipient,
      body: intent.body,
      send_at: isoOf(intent.sendAt),
    });
  }

  private enqueuePost(post: Intent): Promise<void> {
    return this.insert('posts', post, {
      account_id: post.account.id,
      body: post.body,
      media_urls: post.mediaUrls,
      scheduled_for: isoOf(post.sendAt),
    });
  }

  private async insert(queue: 'dm_queue' | 'posts', intent: Intent, columns: object): Promise<void> {
    const { priority, idempotencyKey, expiresAt } = intent;
    const row = { ...columns, priority, expires_at: isoOf(expiresAt), idempotency_key: idempotencyKey };
    const insert = async () => {
      const enqueue = queue === 'dm_queue' ? 'enqueue_dms' : 'enqueue_posts';
      const { rows } = (await this.store.call(enqueue, { p_rows: [row] })) as CreatedRows;
      for (const { id } of rows) this.intents[queue].set(id, intent);
      this.logLine(() => `${queue} ${rows[0]?.id} enqueued: "${intent.body}", due ${isoOf(intent.sendAt)}`);
    };
    await insert();
    if (idempotencyKey) this.clock.timer(minute, () => void insert());
  }

  private async createJob(job: DrawnJob): Promise<void> {
    const { key, times, everySeconds } = job;
    const row = {
      name: job.name,
      queue: job.queue,
      payload: { key, times, everySeconds },
      run_at: isoOf(job.dueAt),
      priority: job.priority,
      unique_key: job.isUnique ? key : null,
      max_attempts: job.maxAttempts,
      expires_at: isoOf(job.expiresAt),
    };
    const create = async () => {
      const { rows } = (await this.store.call('create_jobs', { p_rows: [row] })) as CreatedRows;
      for (const { id } of rows) this.drawnJobs.set(id, job);
      this.logLine(() => `jobs ${rows[0]?.id} created: ${JSON.stringify(job)}`);
    };
    await create();
    if (job.isUnique) this.clock.timer(minute, () => void create());
  }

  private async startProcess(call: Call): Promise<void> {
    const n = `${++this.ticks} of ${call.queue}`;
    const random = this.stream(`process ${n}`);
    const process = new SimulatedProcess(this.clock, (event) => {
      this.logLine(() => `tick ${n} ${event}`);
      if (event === 'thawed') return;
      this.faults.count(`process: ${event}`);
      if (event !== 'killed') this.freezes++;
      else {
        this.kills++;
        this.live.delete(process);
      }
    });
    const fate = this.faults.drawFate(process);
    this.live.add(process);
    const startedAt = this.clock.now();
    // The platform's limit starts before the handler's first line. A process that was frozen may outlive the limit and resume with old claims.
    const limitMs = call.limitMs - random.between(0, 2_900);
    const outlives = random.chance(0.7);
    process.at(limitMs, () => {
      if (process.stalled && outlives) return;
      if (!process.stalled)
        this.observe('no tick is killed at its limit', `tick ${n} still runs ${limitMs} ms after its start`);
      process.kill();
    });
    const skew = call.reconciles ? 'none' : this.faults.versionSkew();
    const rpc = this.store.rpcOf(process, fate, skew);
    const ports: TickPorts = {
      store: queueStore(rpc, this.clock.date),
      clock: process.clock,
      log: { ...silentLog, error: (fields, message) => this.observeError(n, fields, message) },
      random: random.next,
      newId: () => random.uuid(),
      lock: this.locks.portOf(process, fate),
    };
    const run = this.tick(call, ports, { process, fate, rpc, startedAt });
    // Not awaited: a tick that is killed never ends.
    const end = (result: string) => {
      process.end();
      this.live.delete(process);
      this.logLine(() => `tick ${n} (${call.scheduler}) ${result}`);
    };
    void run.then(
      (reports) => end(reports.map(describeReport).join('; ')),
      (error) => {
        if ((error as Error).name !== 'StoreError')
          this.observe('the engine throws only store errors', `tick ${n}: ${(error as Error).stack}`);
        end(`failed: ${(error as Error).message}`);
      },
    );
  }

  private async tick(
    { queue, limitMs, scheduler, reconciles }: Call,
    ports: TickPorts,
    { process, fate, rpc, startedAt }: { process: SimulatedProcess; fate: Fate; rpc: Rpc; startedAt: number },
  ): Promise<(TickReport | ReconcileReport)[]> {
    const options = { limitMs, scheduler, startedAt };
    switch (queue) {
      case 'dm_queue': {
        const sends = { ...options, deps: this.provider.portsOf(process, fate) };
        return [await (reconciles ? reconcile(dmQueue, ports, sends) : tick(dmQueue, ports, sends))];
      }
      case 'posts': {
        const publishes = { ...options, deps: this.feed.portsOf(process, fate) };
        return [await (reconciles ? reconcile(posts, ports, publishes) : tick(posts, ports, publishes))];
      }
      case 'enrolments':
        return [await tick(enrolments, ports, { ...options, deps: null })];
      case 'jobs': {
        const handler = partitionsHandler(this.jobs.queueOf(process, fate));
        const services = { ports, rpc, env: {} } as unknown as Services;
        const params = new URLSearchParams();
        const { reports, fault } = await handler(services, {
          scheduler,
          startedAt,
          maxDuration: limitMs / 1_000,
          params,
        } as CronCall);
        if (fault !== undefined) throw fault;
        return reports;
      }
    }
  }

  private beginJumps(): void {
    const random = this.stream('jumps');
    const jump = () => {
      if (this.faults.strikes(0.5, random, 'clock: jump')) {
        const ms = random.magnitude(2, 2_400) * second;
        for (const process of this.live) process.stall();
        this.clock.skip(ms);
        this.logLine(() => `time jumped by ${Math.round(ms / second)} s`);
      }
      this.clock.timer(random.between(4, 40) * hour, jump);
    };
    this.clock.timer(random.between(1, 40) * hour, jump);
  }

  /** Runs the roll-up and then retention, each until nothing is left or a call fails. */
  private beginMaintenance(): void {
    if (this.world.retentionDays === null) return;
    // The name is part of the seed.
    const random = this.stream('housekeeping');
    const maintain = () => {
      this.clock.timer(random.between(3, 12) * hour, maintain);
      const process = new SimulatedProcess(this.clock, () => this.live.delete(process));
      const fate = this.faults.drawFate(process);
      this.live.add(process);
      const rpc = this.store.rpcOf(process, fate);
      const run = async (fn: string) => {
        for (let more = true; more; ) {
          const step = (await rpc(fn, {})) as { more: boolean; rows: number | null; problem?: string | null };
          if (step.problem) this.observe('every queue is rolled up', step.problem);
          if (fn === 'prune' && step.rows) this.faults.count('retention: rows pruned');
          more = step.more;
        }
      };
      // Not awaited: a process that is killed never ends.
      const end = () => {
        process.end();
        this.live.delete(process);
      };
      void run('roll_up')
        .then(() => run('prune'))
        .then(end, end);
    };
    this.clock.timer(random.between(3, 12) * hour, maintain);
  }

  /** Has people type into the same chats, on either side. */
  private beginChatter(): void {
    const random = this.stream('chatter');
    let n = 0;
    const type = () => {
      if (this.clock.now() > this.world.quietAt) return;
      const { account, chatId, recipient } = random.pick(this.world.intents);
      const to =
        chatId ??
        (account.provider === 'unipile' ? `chat/${account.provider_account_id}/${recipient}` : recipient);
      const draft = {
        provider: account.provider,
        accountId: account.provider_account_id,
        chatId: to ?? '',
        recipient,
        text: `by hand ${n++}`,
      };
      this.provider.typeByHand(draft, random.chance(0.6));
      this.clock.timer(random.magnitude(0.05, 3) * hour, type);
    };
    this.clock.timer(hour, type);
  }

  private observeError(n: string, fields: object, message: string): void {
    const { err } = fields as { err?: Error };
    this.logLine(() => `tick ${n}: ${message} ${JSON.stringify(fields)}`);
    if (err) this.observe('the engine throws only store errors', `tick ${n}: ${message}: ${err.stack}`);
  }

  private observe(invariant: string, details: string): void {
    this.observed.push({ invariant, details: `${this.clock.date().toISOString()} ${details}` });
    this.logLine(() => `VIOLATED ${invariant}: ${details}`);
  }

  private logLine(line: () => string): void {
    const text = `${this.clock.date().toISOString()} ${line()}`;
    this.log.push(text);
    this.onLog(text);
  }

  private async finish(): Promise<FinishedRun> {
    const { store, provider, operator } = this;
    const settings: SettingsChange[] = await store.sql(readSettingsChanges);
    const isPost = ({ form }: { form: string }) => form === 'post';
    const paced = async (queue: 'dm_queue' | 'posts'): Promise<PacedRun> => ({
      ...(await this.finishQueue(queue, settings)),
      messages: provider.messages.filter((message) => isPost(message) === (queue === 'posts')),
      calls: provider.calls.filter((call) => isPost(call) === (queue === 'posts')),
      intents: this.intents[queue],
    });
    const dms = await paced('dm_queue');
    const published = await paced('posts');
    const jobs = {
      ...(await this.finishQueue('jobs', settings)),
      runs: this.jobs.runs,
      drawn: this.drawnJobs,
    };
    const finalEnrolments: FinalEnrolment[] = await store.sql(readEnrolments);
    this.addIntentsOfSteps(dms.rows);
    return {
      ...dms,
      posts: published,
      jobs,
      broughtByEnrolments: store.brought.filter(({ queue }) => queue === 'enrolments'),
      receipts: this.webhooks.received,
      enrolled: this.sequenceOperator.enrolled,
      enrolments: finalEnrolments,
      enrolmentChanges: await store.sql(readEnrolmentChanges),
      acts: this.sequenceOperator.acts,
      assigned: this.sequenceOperator.assigned,
      apiReplies: this.people.reported,
      observed: this.observed,
      figures: {
        rows: dms.rows.length + published.rows.length + jobs.rows.length,
        ticks: this.ticks,
        kills: this.kills,
        freezes: this.freezes,
        responsesLost: store.responsesLost,
        deliveries: provider.messages.filter(({ byHand, failed }) => !byHand && !failed).length,
        webhooks: this.webhooks.received.length,
        enrolments: countBy(finalEnrolments, ({ phase }) => phase),
        unknowns: countEndsOfUnknowns([...dms.transitions, ...published.transitions], operator.decisions),
        states: countBy(
          [dms, published, jobs].flatMap(({ queue, rows }) => rows.map(({ status }) => `${queue} ${status}`)),
          (state) => state,
        ),
        faults: this.faults.counts,
        seconds: 0,
      },
      log: this.log,
    };
  }

  private async finishQueue(queue: QueueName, settings: SettingsChange[]): Promise<QueueRun> {
    const recorded: Transition[] = await this.store.sql(readTransitions, [queue]);
    const own = this.sqlOperator.acts.filter((act) => act.queue === queue);
    const acts = new Map(own.map((act) => [`${act.call}/${act.rowId}`, act.kind]));
    return {
      queue,
      world: this.world,
      settings,
      rows: await this.store.sql(readRows(queue), [`{${[...this.store.prunes]}}`]),
      prunes: this.store.prunes,
      transitions: recorded.map((transition) => {
        return { ...transition, byHand: acts.get(`${transition.call}/${transition.rowId}`) ?? null };
      }),
      handled: new Set(own.filter(({ kind }) => kind !== 'due moved').map(({ rowId }) => rowId)),
      moved: new Set(own.filter(({ kind }) => kind === 'due moved').map(({ rowId }) => rowId)),
      brought: this.store.brought.filter((one) => one.queue === queue),
    };
  }

  /** Adds the intent of each step's message, in the version of the sequence that the person was enrolled with. */
  private addIntentsOfSteps(rows: FinalRow[]): void {
    for (const { id, enrolmentId, step, isReminder } of rows) {
      const enrolled = this.sequenceOperator.enrolled.get(enrolmentId ?? '');
      if (!enrolled || step === null) continue;
      const { account, chatId, recipient, priority } = enrolled.person;
      this.intents.dm_queue.set(id, {
        arrivesAt: enrolled.at,
        account,
        chatId,
        recipient,
        body: textOf(enrolled, step, isReminder),
        sendAt: enrolled.at,
        priority,
        expiresAt: null,
        idempotencyKey: null,
      });
    }
  }
}

interface CreatedRows {
  rows: { id: string; created: boolean }[];
}

const isoOf = (at: number | null) => (at === null ? null : new Date(at).toISOString());

/** Columns that a queue does not have read as null. */
const readRows = (queue: QueueName) => `
  select coalesce(jsonb_agg(jsonb_build_object('id', r.c->>'id', 'accountId', coalesce(r.c->>'account_id', ''),
    'status', r.state, 'attempts', r.c->'attempts', 'lastError', r.c->>'last_error',
    'leaseExpiresAt', ${instant("(r.c->>'lease_expires_at')::timestamptz")}, 'finishedAt', ${instant("(r.c->>'finished_at')::timestamptz")},
    'gone', r.gone, 'reconcileAt', ${instant("(r.c->>'reconcile_at')::timestamptz")},
    'reconcile', r.c->'reconcile', 'messageId', r.c->>'provider_message_id',
    'chatId', r.c->'chat_id', 'enrolmentId', r.c->>'enrolment_id', 'step', r.c->'step', 'isReminder', coalesce(r.c->'is_reminder', 'false'),
    'explanation', case when r.state = 'pending' and r.gone is null then
      punctual.explain_row('${queue}', r.c->>'id', '{unipile,whatsapp_cloud}', current_setting('simulation.now')::timestamptz) end)
    order by (r.c->>'id')::bigint), '[]') as answer
  from (select to_jsonb(d) as c, simulation.state_of(d.status) as state, null as gone from punctual.${queue} d
        union all
        select g.content, simulation.state_of(g.content->>'status'), case when g.call = any ($1::integer[]) then 'by retention' else 'by hand' end
          from simulation.gone g where g.queue = '${queue}') r`;

const readEnrolments = `
  select coalesce(jsonb_agg(jsonb_build_object('id', e.id::text, 'status', e.status, 'phase', e.phase, 'step', e.step,
    'messageId', e.message_id::text, 'nextStepAt', ${instant('e.next_step_at')}, 'waitsFor', e.waits_for, 'paused', e.paused_at is not null,
    'lastError', e.last_error) order by e.id), '[]') as answer
  from punctual.enrolments e`;

function countBy<Item>(items: Item[], name: (item: Item) => string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const item of items) counts[name(item)] = (counts[name(item)] ?? 0) + 1;
  return counts;
}

/** Counts how rows stopped being unknown, and how many still are. */
function countEndsOfUnknowns(transitions: Transition[], decisions: Set<string>): Record<string, number> {
  const ends: Record<string, number> = {};
  const waiting = new Set<string>();
  for (const { queue, rowId, from, to, lastError } of transitions) {
    const row = `${queue}/${rowId}`;
    if (to === 'unknown') waiting.add(row);
    if (from !== 'unknown' || to === 'unknown') continue;
    waiting.delete(row);
    const reason = decisions.has(row) ? 'by the operator' : (lastError ?? 'by proof');
    const end = `${to} ${reason}`;
    ends[end] = (ends[end] ?? 0) + 1;
  }
  if (waiting.size > 0) ends['still waiting'] = waiting.size;
  return ends;
}

function describeReport(report: TickReport | ReconcileReport): string {
  if (!('counts' in report)) return `${report.ended}, ${report.checked} checked, ${report.resolved} resolved`;
  const { outcome, ended, counts, lock, usedMs } = report;
  const nonZero = Object.entries(counts).filter(([, count]) => count > 0);
  return `${outcome}, ${ended}, lock ${lock}, ${usedMs} ms, ${nonZero.map(([name, count]) => `${count} ${name}`).join(' ')}`;
}

function hashOf(run: FinishedRun): string {
  const { transitions, messages, rows, settings, enrolmentChanges, posts, jobs, log } = run;
  return createHash('sha256')
    .update(
      JSON.stringify([
        transitions,
        messages,
        rows,
        settings,
        enrolmentChanges,
        posts,
        jobs.transitions,
        jobs.runs,
        log,
      ]),
    )
    .digest('hex')
    .slice(0, 16);
}
