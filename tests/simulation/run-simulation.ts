import { createHash } from 'node:crypto';
import { silentLog } from '../../lib/engine/log';
import { type TickPorts, tick } from '../../lib/engine/tick';
import type { TickReport } from '../../lib/engine/tick-report';
import { dmQueue } from '../../lib/queues/dm-queue';
import { enrolments } from '../../lib/queues/enrolments';
import { queueStore } from '../../lib/store/queue-store';
import { VirtualClock } from '../support/virtual-clock';
import { type Call, startClocks } from './clocks';
import type { SimulationDatabase } from './database';
import { Faults } from './faults';
import { invariants } from './invariants/invariants';
import type { Violation } from './invariants/violation';
import { Operator } from './operator';
import { type ApiReply, People } from './people';
import { type ProviderCall, type ProviderMessage, ProviderModel } from './provider-model';
import { randomStreams } from './random';
import {
  type EnrolmentChange,
  instant,
  readEnrolmentChanges,
  readSettingsChanges,
  readTransitions,
  type SettingsChange,
  type Transition,
} from './recorder';
import { type Act, type Enrolled, SequenceOperator } from './sequence-operator';
import { textOf } from './sequence-reckoning';
import { SimulatedLocks } from './simulated-lock';
import { SimulatedProcess } from './simulated-process';
import { type BroughtOutcome, SimulatedStore } from './simulated-store';
import { type ToldReceipt, Webhooks } from './webhooks';
import { drawWorld, hour, type Intent, minute, second, type World } from './world';

/** A run that has come to its end, as the invariants see it. */
export interface FinishedRun {
  world: World;
  rows: FinalRow[];
  transitions: Transition[];
  settings: SettingsChange[];
  messages: ProviderMessage[];
  calls: ProviderCall[];
  /** Row id by row id, what was asked for. */
  intents: Map<string, Intent>;
  decisions: Map<string, string>;
  brought: BroughtOutcome[];
  told: ToldReceipt[];
  /** Enrolment id by enrolment id. */
  enrolled: Map<string, Enrolled>;
  enrolments: FinalEnrolment[];
  enrolmentChanges: EnrolmentChange[];
  acts: Act[];
  assigned: Map<string, number>;
  toldByApi: ApiReply[];
  /** What was seen to be wrong while it ran. */
  observed: Violation[];
  figures: Figures;
  log: string[];
}

/** A row as it stands in the end. */
export interface FinalRow {
  id: string;
  accountId: string;
  status: string;
  lastError: string | null;
  leaseExpiresAt: number | null;
  reconcileAt: number | null;
  reconcile: { waits_for_operator?: boolean; found?: string | null } | null;
  messageId: string | null;
  chatId: string | null;
  /** Of a sequence's message. */
  enrolmentId: string | null;
  step: number | null;
  isReminder: boolean;
  explanation: { waits: { kind: string; until: string | null }[]; expected_at: string | null } | null;
}

/** An enrolment as it stands in the end. */
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
  answersLost: number;
  deliveries: number;
  webhooks: number;
  /** How enrolments stood in the end: phase by phase. */
  enrolments: Record<string, number>;
  /** Rows that were unknown at some time, and how that ended. */
  unknowns: Record<string, number>;
  seconds: number;
}

export interface SimulationResult {
  seed: number;
  days: number;
  violations: Violation[];
  figures: Figures;
  /** Of all that happened and all that came of it: the same seed has the same. */
  hash: string;
}

/** Plays one seed to its end over a fresh database, and judges it. */
export async function runSimulation(
  { seed, days, onLog }: { seed: number; days: number; onLog?: (line: string) => void },
  open: () => Promise<SimulationDatabase>,
): Promise<SimulationResult> {
  const startedAt = performance.now();
  const database = await open();
  try {
    const run = await new Simulation(drawWorld(seed, days), database, onLog).play();
    run.figures.seconds = (performance.now() - startedAt) / 1_000;
    const violations = [...run.observed, ...invariants.flatMap((invariant) => invariant(run))];
    return { seed, days, violations, figures: run.figures, hash: hashOf(run) };
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
  private readonly sequenceOperator: SequenceOperator;
  private readonly people: People;
  private readonly live = new Set<SimulatedProcess>();
  private readonly intents = new Map<string, Intent>();
  private readonly observed: Violation[] = [];
  private readonly log: string[] = [];
  private ticks = 0;
  private enrolmentTicks = 0;
  private kills = 0;
  private freezes = 0;

  constructor(
    private readonly world: World,
    database: SimulationDatabase,
    private readonly onLog: (line: string) => void = () => {},
  ) {
    const { clock, stream } = { clock: new VirtualClock(world.startAt), stream: randomStreams(world.seed) };
    this.clock = clock;
    this.stream = stream;
    this.faults = new Faults(world, () => clock.now(), stream);
    this.store = new SimulatedStore(database, clock, this.faults, stream('store'));
    this.store.onError = (fn, error) => this.observe('the SQL fails at nothing', `${fn}: ${error.message}`);
    this.locks = new SimulatedLocks(clock, this.faults, stream('locks'));
    this.provider = new ProviderModel(clock, this.faults, stream('provider'));
    this.webhooks = new Webhooks(world, clock, this.faults, stream('webhooks'), this.store, this.provider);
    this.operator = new Operator(world, clock, this.faults, stream('operator'), this.store, this.provider);
    const { faults, store, provider } = this;
    const tell = (line: () => string) => this.tell(line);
    this.sequenceOperator = new SequenceOperator(
      world,
      clock,
      faults,
      stream('sequence operator'),
      store,
      tell,
      provider,
    );
    this.people = new People(
      world,
      clock,
      faults,
      stream('people'),
      store,
      provider,
      this.sequenceOperator,
      tell,
    );
  }

  async play(): Promise<FinishedRun> {
    await this.setUp();
    for (const intent of this.world.intents) {
      this.clock.timer(intent.arrivesAt - this.clock.now(), () => void this.enqueue(intent));
    }
    this.operator.begin();
    await this.sequenceOperator.begin();
    this.beginJumps();
    this.beginChatter();
    startClocks(
      { world: this.world, clock: this.clock, faults: this.faults, stream: this.stream },
      (call) => void this.startProcess(call),
    );
    await this.clock.run(
      new Promise<void>((resolve) => void this.clock.timer(this.world.endAt - this.clock.now(), resolve)),
    );
    return this.finish();
  }

  private async setUp(): Promise<void> {
    const { accounts, maxTicks, concurrency } = this.world;
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
  }

  private async enqueue(intent: Intent): Promise<void> {
    const row = {
      account_id: intent.account.id,
      channel: intent.account.provider === 'unipile' ? 'linkedin' : 'whatsapp',
      chat_id: intent.chatId,
      recipient: intent.recipient,
      body: intent.body,
      send_at: new Date(intent.sendAt).toISOString(),
      priority: intent.priority,
      expires_at: intent.expiresAt && new Date(intent.expiresAt).toISOString(),
      idempotency_key: intent.idempotencyKey,
    };
    const take = async () => {
      const { rows } = (await this.store.call('enqueue_dms', { p_rows: [row] })) as {
        rows: { id: string; created: boolean }[];
      };
      for (const { id } of rows) this.intents.set(id, intent);
      this.tell(
        () => `row ${rows[0]?.id} enqueued: "${intent.body}", due ${new Date(intent.sendAt).toISOString()}`,
      );
    };
    await take();
    if (intent.idempotencyKey) this.clock.timer(minute, () => void take());
  }

  private async startProcess(call: Call): Promise<void> {
    const isDm = call.queue === 'dm_queue';
    const n = isDm ? `${++this.ticks}` : `of enrolments ${++this.enrolmentTicks}`;
    const random = this.stream(`process ${n}`);
    const process = new SimulatedProcess(this.clock, (befallen) => {
      this.tell(() => `tick ${n} ${befallen}`);
      if (befallen === 'thawed') return;
      if (befallen === 'frozen') this.freezes++;
      else {
        this.kills++;
        this.live.delete(process);
      }
    });
    const fate = this.faults.doom(process);
    this.live.add(process);
    const startedAt = this.clock.now();
    // The platform counts from before the handler's first line. One that was frozen may outlive it, and come back to life with old claims.
    const limitMs = call.limitMs - random.between(0, 2_900);
    const outlives = random.chance(0.7);
    process.at(limitMs, () => {
      if (process.stalled && outlives) return;
      if (!process.stalled)
        this.observe('no tick is killed at its limit', `tick ${n} still runs ${limitMs} ms after its start`);
      process.kill();
    });
    const ports: TickPorts = {
      store: queueStore(this.store.rpcOf(process, fate), this.clock.date),
      clock: process.clock,
      log: { ...silentLog, error: (fields, message) => this.hearError(n, fields, message) },
      random: random.next,
      newId: () => random.uuid(),
      lock: this.locks.portOf(process, fate),
    };
    const { limitMs: saidLimitMs, clockName, looksOnly } = call;
    const options = { limitMs: saidLimitMs, clockName, startedAt, ...(looksOnly && { looksOnly }) };
    const run = isDm
      ? tick(dmQueue, ports, { ...options, deps: this.provider.portsOf(process, fate) })
      : tick(enrolments, ports, { ...options, deps: null });
    // Its end may never come: nobody waits for it.
    const end = (told: string) => {
      process.end();
      this.live.delete(process);
      this.tell(() => `tick ${n} (${call.clockName}) ${told}`);
    };
    void run.then(
      (report) => end(described(report)),
      (error) => {
        if ((error as Error).name !== 'TickStoreError')
          this.observe('the engine throws nothing of its own', `tick ${n}: ${(error as Error).stack}`);
        end(`failed: ${(error as Error).message}`);
      },
    );
  }

  private beginJumps(): void {
    const random = this.stream('jumps');
    const jump = () => {
      if (this.faults.strikes(0.5, random)) {
        const ms = random.magnitude(2, 2_400) * second;
        for (const process of this.live) process.stall();
        this.clock.skip(ms);
        this.tell(() => `time jumped by ${Math.round(ms / second)} s`);
      }
      this.clock.timer(random.between(4, 40) * hour, jump);
    };
    this.clock.timer(random.between(1, 40) * hour, jump);
  }

  /** What people type into the same chats, on either side. */
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

  private hearError(n: string, fields: object, message: string): void {
    const { err } = fields as { err?: Error };
    this.tell(() => `tick ${n}: ${message} ${JSON.stringify(fields)}`);
    if (err) this.observe('the engine throws nothing of its own', `tick ${n}: ${message}: ${err.stack}`);
  }

  private observe(invariant: string, details: string): void {
    this.observed.push({ invariant, details: `${this.clock.date().toISOString()} ${details}` });
    this.tell(() => `VIOLATED ${invariant}: ${details}`);
  }

  private tell(line: () => string): void {
    const told = `${this.clock.date().toISOString()} ${line()}`;
    this.log.push(told);
    this.onLog(told);
  }

  private async finish(): Promise<FinishedRun> {
    const transitions: Transition[] = await this.store.sql(readTransitions);
    const rows: FinalRow[] = await this.store.sql(readRows);
    const finalEnrolments: FinalEnrolment[] = await this.store.sql(readEnrolments);
    const { enrolled } = this.sequenceOperator;
    this.addIntentsOfSteps(rows);
    return {
      world: this.world,
      rows,
      transitions,
      settings: await this.store.sql(readSettingsChanges),
      messages: this.provider.messages,
      calls: this.provider.calls,
      intents: this.intents,
      decisions: this.operator.decisions,
      brought: this.store.brought,
      told: this.webhooks.told,
      enrolled,
      enrolments: finalEnrolments,
      enrolmentChanges: await this.store.sql(readEnrolmentChanges),
      acts: this.sequenceOperator.acts,
      assigned: this.sequenceOperator.assigned,
      toldByApi: this.people.told,
      observed: this.observed,
      figures: {
        rows: rows.length,
        ticks: this.ticks + this.enrolmentTicks,
        kills: this.kills,
        freezes: this.freezes,
        answersLost: this.store.answersLost,
        deliveries: this.provider.messages.filter(({ byHand, failed }) => !byHand && !failed).length,
        webhooks: this.webhooks.told.length,
        enrolments: countBy(finalEnrolments, ({ phase }) => phase),
        unknowns: endsOfUnknowns(transitions, this.operator.decisions),
        seconds: 0,
      },
      log: this.log,
    };
  }

  /** What a step's message is to be, by the sequence as it was when the person was enrolled. */
  private addIntentsOfSteps(rows: FinalRow[]): void {
    for (const { id, enrolmentId, step, isReminder } of rows) {
      const enrolled = this.sequenceOperator.enrolled.get(enrolmentId ?? '');
      if (!enrolled || step === null) continue;
      const { account, chatId, recipient, priority } = enrolled.person;
      this.intents.set(id, {
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

const readRows = `
  select coalesce(jsonb_agg(jsonb_build_object('id', d.id::text, 'accountId', d.account_id, 'status', d.status, 'lastError', d.last_error,
    'leaseExpiresAt', round(extract(epoch from d.lease_expires_at) * 1000), 'reconcileAt', round(extract(epoch from d.reconcile_at) * 1000),
    'reconcile', d.reconcile, 'messageId', d.provider_message_id,
    'chatId', d.chat_id, 'enrolmentId', d.enrolment_id::text, 'step', d.step, 'isReminder', d.is_reminder,
    'explanation', case when d.status = 'pending' then
      punctual.explain_row('dm_queue', d.id::text, '{unipile,whatsapp_cloud}', current_setting('simulation.now')::timestamptz) end)
    order by d.id), '[]') as answer
  from punctual.dm_queue d`;

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

/** How each time that a row was unknown came to an end. */
function endsOfUnknowns(transitions: Transition[], decisions: Map<string, string>): Record<string, number> {
  const ends: Record<string, number> = {};
  const waiting = new Set<string>();
  for (const { rowId, from, to, lastError } of transitions) {
    if (to === 'unknown') waiting.add(rowId);
    if (from !== 'unknown' || to === 'unknown') continue;
    waiting.delete(rowId);
    const by = decisions.has(rowId) ? 'by the operator' : (lastError ?? 'proved');
    const end = `${to} ${by}`;
    ends[end] = (ends[end] ?? 0) + 1;
  }
  if (waiting.size > 0) ends['still waiting'] = waiting.size;
  return ends;
}

function described({ outcome, ended, counts, lock, usedMs }: TickReport): string {
  const told = Object.entries(counts).filter(([, count]) => count > 0);
  return `${outcome}, ${ended}, lock ${lock}, ${usedMs} ms, ${told.map(([name, count]) => `${count} ${name}`).join(' ')}`;
}

function hashOf({ transitions, messages, rows, settings, enrolmentChanges, log }: FinishedRun): string {
  return createHash('sha256')
    .update(JSON.stringify([transitions, messages, rows, settings, enrolmentChanges, log]))
    .digest('hex')
    .slice(0, 16);
}
