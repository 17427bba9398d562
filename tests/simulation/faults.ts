import type { RandomStream } from './random.ts';
import type { SimulatedProcess } from './simulated-process.ts';
import type { VersionSkew } from './version-skew.ts';
import { hour, minute, type Provider, second, type World } from './world.ts';

interface Outage {
  from: number;
  to: number;
  /** Connections are refused, hang without a response, or get one just in time. */
  how: 'refuses' | 'hangs' | 'is slow';
}

/** A span in which a provider refuses every call of one account, or of all accounts. */
export interface Refusal {
  provider: Provider;
  /** The provider's own id of the account; null if the provider refuses everything. */
  accountId: string | null;
  from: number;
  to: number;
  /** When the operator reports that it is fixed, which ends the pause early; null if the operator never does. */
  endedAt: number | null;
}

/** The weight of each fault within its kind. */
const databaseFaults = {
  slow: 3,
  lost: 2,
  'answer lost': 3,
  'carried out late': 1,
  'carried out twice': 1,
  refused: 1,
};
const lockFaults = { unavailable: 2, lies: 1 };
const sendFaults = {
  slow: 2,
  late: 2,
  'late, heedless of the signal': 0.5,
  'hung, sent': 1,
  'hung, not sent': 1,
  'lost before': 1,
  'lost after': 2,
  '5xx, sent': 1,
  '5xx, sent late': 0.7,
  '5xx, not sent': 1,
  'accepted, then failed': 2,
  'not sent': 1.5,
  rejected: 1,
  'account limited': 0.8,
  'pair limited': 1.2,
  'account refused': 0.1,
};
const { 'accepted, then failed': _, ...sendFaultsOfUnipile } = sendFaults;
const { 'pair limited': _pair, ...publishFaults } = sendFaultsOfUnipile;
/** Uploads are long calls, and gateways cut long calls off. */
const uploadFaults = { 'hung, sent': 1, 'lost after': 2, '5xx, sent': 2, 'lost before': 1 } as const;
const mediaFaults = { 'not in time': 2, 'not there': 1, 'server down': 2 };
const jobFaults = {
  slow: 2,
  throws: 4,
  'later, it says': 2,
  'for good': 0.6,
  limited: 1,
  hangs: 1.5,
  'heedless of the signal': 1.5,
  'done, and then throws': 1,
};

export type DatabaseFault = 'none' | 'away' | 'away, hanging' | keyof typeof databaseFaults;
export type LockFault = 'none' | keyof typeof lockFaults;
/** Refusals of an account and of a provider: every call meets them while they last. */
type LastingRefusal = 'refused for hours' | 'refuses everything';
export type SendFault = 'none' | LastingRefusal | keyof typeof sendFaults;
export type MediaFault = 'none' | keyof typeof mediaFaults;
export type JobFault = 'none' | keyof typeof jobFaults;

/** Every fault, by its name in the figures. */
export const faultNames: string[] = [
  ...Object.entries({
    database: { away: 1, 'away, hanging': 1, 'gone back': 1, ...databaseFaults },
    version: { 'older code': 1, 'newer database': 1 },
    statement: { slow: 1, cancelled: 1 },
    lock: lockFaults,
    send: sendFaults,
    publish: publishFaults,
    account: { 'refused for hours': 1 },
    provider: { 'refuses everything': 1 },
    refusal: { 'ended by the operator': 1 },
    media: mediaFaults,
    job: jobFaults,
    process: { killed: 1, frozen: 1, suspended: 1 },
    clock: { missed: 1, late: 1, doubled: 1, jump: 1 },
    'look-up': { fails: 1, incomplete: 1 },
    retention: { 'rows pruned': 1 },
    'by hand': {
      time_zone: 1,
      hours: 1,
      gap_seconds: 1,
      'hours of a queue': 1,
      done: 1,
      dead: 1,
      cancelled: 1,
      'pending again': 1,
      deleted: 1,
      'due moved': 1,
      'done, while it runs': 1,
      'dead, while it runs': 1,
      'cancelled, while it runs': 1,
      'pending again, while it runs': 1,
      'deleted, while it runs': 1,
    },
  }).flatMap(([kind, faults]) => Object.keys(faults).map((name) => `${kind}: ${name}`)),
];

/** Draws the faults of a run as it proceeds. After `quietAt` there are none. */
export class Faults {
  private readonly databaseOutages: Outage[];
  /** A busy disk, or a small machine that has used up its processor credits. */
  private readonly slowSpells: { from: number; to: number; msPerRow: number }[];
  private readonly deployments: Outage[];
  private readonly providerOutages: Record<string, Outage[]>;
  readonly refusals: Refusal[];

  constructor(
    private readonly world: World,
    private readonly now: () => number,
    stream: (name: string) => RandomStream,
  ) {
    const { startAt, quietAt, weather } = world;
    this.random = stream('faults');
    const outages = (name: string, perDay: number) => {
      const random = stream(name);
      const drawn: Outage[] = [];
      for (let at = startAt; ; ) {
        at += -Math.log(1 - random.next()) * (24 / (perDay * weather)) * hour;
        if (at > quietAt) return drawn;
        drawn.push({
          from: at,
          to: Math.min(quietAt, at + random.magnitude(0.2, 40) * minute),
          how: random.pick(['refuses', 'hangs']),
        });
      }
    };
    this.databaseOutages = outages('database outages', 0.5);
    this.deployments = outages('deployments', 2);
    const slowness = stream('slowness');
    this.slowSpells = outages('slow spells', 0.4).map(({ from, to }) => {
      return { from, to: Math.min(quietAt, from + 4 * (to - from)), msPerRow: slowness.magnitude(3, 12) };
    });
    // Failures under load do the most harm.
    const atCampaigns = (provider: string) => {
      const random = stream(`${provider} at campaigns`);
      return world.campaigns
        .map((at) => ({
          from: at - minute,
          to: at + random.magnitude(3, 90) * minute,
          how: random.pick(['refuses', 'hangs', 'is slow', 'is slow'] as const),
          comes: random.chance(0.5 * weather),
        }))
        .filter(({ comes }) => comes);
    };
    this.providerOutages = {
      unipile: [...outages('unipile outages', 0.4), ...atCampaigns('unipile')],
      whatsapp_cloud: [...outages('whatsapp outages', 0.4), ...atCampaigns('whatsapp_cloud')],
    };
    this.refusals = drawRefusals(stream('refusals'), world);
  }

  private readonly random: RandomStream;
  /** How often each fault occurred. */
  readonly counts: Record<string, number> = Object.fromEntries(faultNames.map((name) => [name, 0]));

  /** Draws the version skew of a process that starts now: during a deployment three of four have one. */
  versionSkew(): VersionSkew {
    const now = this.now();
    const isDeployed = this.deployments.some(({ from, to }) => from <= now && now < to);
    return isDeployed
      ? this.random.pick(['none', 'older code', 'older code', 'newer database'] as const)
      : 'none';
  }

  /** Milliseconds that the database now takes to read or write a row: mostly 0.02, in a slow hour up to 36. */
  msPerRow(): number {
    const now = this.now();
    const spell = this.slowSpells.find(({ from, to }) => from <= now && now < to);
    return spell ? spell.msPerRow * this.random.magnitude(0.3, 3) : 0.02;
  }

  /** Whether a fault occurs. `probability`: in a bad week. `name`: the fault's name in the figures. */
  strikes(probability: number, random = this.random, name?: string): boolean {
    const strikes = random.chance(probability * this.world.weather) && this.now() < this.world.quietAt;
    if (strikes && name !== undefined) this.count(name);
    return strikes;
  }

  count(name: string): void {
    this.counts[name] = (this.counts[name] ?? 0) + 1;
  }

  private counted<Name extends string>(kind: string, name: Name): Name {
    this.count(`${kind}: ${name}`);
    return name;
  }

  databaseOutage(): Outage | undefined {
    return this.databaseOutages.find((outage) => outage.from <= this.now() && this.now() < outage.to);
  }

  providerOutage(provider: string): Outage | undefined {
    return this.providerOutages[provider]?.find(
      (outage) => outage.from <= this.now() && this.now() < outage.to,
    );
  }

  /** `isHarmful`: the call carries outcomes that would harm the row's next attempt if they were applied a second time. */
  ofDatabaseCall(isHarmful: boolean): DatabaseFault {
    const outage = this.databaseOutage();
    if (outage) return this.counted('database', outage.how === 'hangs' ? 'away, hanging' : 'away');
    if (isHarmful && this.strikes(0.15)) return this.counted('database', 'carried out twice');
    if (!this.strikes(0.03)) return 'none';
    return this.counted('database', this.random.weighted(databaseFaults));
  }

  ofLock(): LockFault {
    return this.strikes(0.03) ? this.counted('lock', this.random.weighted(lockFaults)) : 'none';
  }

  ofSend(provider: string, accountId: string): SendFault {
    const weights = provider === 'whatsapp_cloud' ? sendFaults : sendFaultsOfUnipile;
    return this.lastingRefusal(provider, accountId) ?? this.ofCall('send', provider, weights);
  }

  ofPublish(accountId: string, hasMedia: boolean): SendFault {
    const fault =
      this.lastingRefusal('unipile', accountId) ?? this.ofCall('publish', 'unipile', publishFaults);
    if (fault !== 'none' || !hasMedia || !this.strikes(0.15)) return fault;
    return this.counted('publish', this.random.weighted(uploadFaults));
  }

  private lastingRefusal(provider: string, accountId: string): LastingRefusal | null {
    const now = this.now();
    const met = this.refusals.filter((one) => one.provider === provider && one.from <= now && now < one.to);
    if (met.some((one) => one.accountId === null)) return this.counted('provider', 'refuses everything');
    return met.some((one) => one.accountId === accountId)
      ? this.counted('account', 'refused for hours')
      : null;
  }

  private ofCall(kind: string, provider: string, weights: Partial<typeof sendFaults>): SendFault {
    const outage = this.providerOutage(provider);
    if (outage?.how === 'refuses') return this.counted(kind, 'not sent');
    if (outage?.how === 'hangs')
      return this.counted(kind, this.random.pick(['5xx, not sent', 'hung, not sent'] as const));
    if (outage) return this.counted(kind, 'slow');
    return this.strikes(0.14)
      ? this.counted(kind, this.random.weighted(weights as typeof sendFaults))
      : 'none';
  }

  ofMedia(): MediaFault {
    return this.strikes(0.1) ? this.counted('media', this.random.weighted(mediaFaults)) : 'none';
  }

  ofJob(): JobFault {
    return this.strikes(0.2) ? this.counted('job', this.random.weighted(jobFaults)) : 'none';
  }

  /** Draws the fate of a new process. */
  drawFate(process: SimulatedProcess): Fate {
    if (!this.strikes(0.07)) return new Fate(process, null, 0, null);
    const { random } = this;
    const action = random.weighted({ kill: 3, freeze: 1, suspend: 1 });
    const ms = Math.round(random.magnitude(2 * second, hour));
    if (random.chance(0.6)) return new Fate(process, action, ms, random.integer(1, 14));
    process.at(Math.round(random.magnitude(20, 50_000)), () => process[action](ms));
    return new Fate(process, null, 0, null);
  }
}

function drawRefusals(random: RandomStream, { accounts, startAt, quietAt, weather }: World): Refusal[] {
  const draw = (provider: Provider, accountId: string | null, hours: number): Refusal => {
    const from = random.between(startAt, quietAt - hour);
    const to = Math.min(quietAt, from + hours * hour);
    const endedAt = random.chance(0.4) ? to + random.magnitude(1, 60) * minute : null;
    return { provider, accountId, from, to, endedAt };
  };
  const refused = accounts.filter(() => random.chance(Math.min(0.5, 0.1 * weather)));
  const refusing = (['unipile', 'whatsapp_cloud'] as const).filter(() => random.chance(0.2 * weather));
  return [
    ...refused.map(({ provider, provider_account_id: id }) => draw(provider, id, random.magnitude(1, 30))),
    ...refusing.map((provider) => draw(provider, null, random.magnitude(0.2, 8))),
  ];
}

/** Kills, freezes or suspends a process at a step of one of its calls: before it is sent, after it ran, or before its response arrives. */
export class Fate {
  constructor(
    private readonly process: SimulatedProcess,
    private readonly action: 'kill' | 'freeze' | 'suspend' | null,
    private readonly stoppedMs: number,
    private stepsLeft: number | null,
  ) {}

  step(): void {
    if (this.stepsLeft === null || --this.stepsLeft > 0) return;
    this.stepsLeft = null;
    if (this.action) this.process[this.action](this.stoppedMs);
  }
}
