import type { RandomStream } from './random';
import type { SimulatedProcess } from './simulated-process';
import { hour, minute, second, type World } from './world';

interface Outage {
  from: number;
  to: number;
  /** Nobody is there; somebody is, and does not answer; or only just. */
  how: 'refuses' | 'hangs' | 'is slow';
}

export type DatabaseFault =
  | 'none'
  | 'slow'
  | 'lost'
  | 'answer lost'
  | 'carried out late'
  | 'carried out twice'
  | 'refused'
  | 'away'
  | 'away, hanging';

export type LockFault = 'none' | 'unavailable' | 'lies';

export type SendFault =
  | 'none'
  | 'slow'
  | 'late'
  | 'late, heedless of the signal'
  | 'hung, sent'
  | 'hung, not sent'
  | 'lost before'
  | 'lost after'
  | '5xx, sent'
  | '5xx, sent late'
  | '5xx, not sent'
  | 'accepted, then failed'
  | 'not sent'
  | 'rejected'
  | 'account limited'
  | 'pair limited'
  | 'account refused';

/** What the world does to a run, drawn as it goes. After `quietAt` nothing. */
export class Faults {
  private readonly databaseOutages: Outage[];
  private readonly providerOutages: Record<string, Outage[]>;

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
    // What fails when there is much to do is what hurts.
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
  }

  private readonly random: RandomStream;

  /** Whether something with this probability (in a bad week) comes about. */
  strikes(probability: number, random = this.random): boolean {
    return random.chance(probability * this.world.weather) && this.now() < this.world.quietAt;
  }

  databaseOutage(): Outage | undefined {
    return this.databaseOutages.find((outage) => outage.from <= this.now() && this.now() < outage.to);
  }

  providerOutage(provider: string): Outage | undefined {
    return this.providerOutages[provider]?.find(
      (outage) => outage.from <= this.now() && this.now() < outage.to,
    );
  }

  /** `hurts`: it brings outcomes that would do harm to the row's next attempt, if they came again then. */
  ofDatabaseCall(hurts: boolean): DatabaseFault {
    const outage = this.databaseOutage();
    if (outage) return outage.how === 'hangs' ? 'away, hanging' : 'away';
    if (hurts && this.strikes(0.15)) return 'carried out twice';
    if (!this.strikes(0.03)) return 'none';
    return this.random.weighted({
      slow: 3,
      lost: 2,
      'answer lost': 3,
      'carried out late': 1,
      'carried out twice': 1,
      refused: 1,
    });
  }

  ofLock(): LockFault {
    if (!this.strikes(0.03)) return 'none';
    return this.random.weighted({ unavailable: 2, lies: 1 });
  }

  ofSend(provider: string): SendFault {
    const outage = this.providerOutage(provider);
    if (outage?.how === 'refuses') return 'not sent';
    if (outage?.how === 'hangs') return this.random.pick(['5xx, not sent', 'hung, not sent']);
    if (outage) return 'slow';
    if (!this.strikes(0.14)) return 'none';
    return this.random.weighted({
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
      'accepted, then failed': provider === 'whatsapp_cloud' ? 2 : 0,
      'not sent': 1.5,
      rejected: 1,
      'account limited': 0.8,
      'pair limited': 1.2,
      'account refused': 0.1,
    });
  }

  /** Lays the fate of a new process. */
  doom(process: SimulatedProcess): Fate {
    if (!this.strikes(0.07)) return new Fate(process, null, 0, null);
    const { random } = this;
    const deed = random.weighted({ kill: 3, freeze: 2 });
    const ms = Math.round(random.magnitude(2 * second, hour));
    if (random.chance(0.6)) return new Fate(process, deed, ms, random.integer(1, 14));
    process.at(Math.round(random.magnitude(20, 50_000)), () =>
      deed === 'kill' ? process.kill() : process.freeze(ms),
    );
    return new Fate(process, null, 0, null);
  }
}

/** What happens to a process at a step of one of its calls: before it is sent, when it was carried out, before its answer arrives. */
export class Fate {
  constructor(
    private readonly process: SimulatedProcess,
    private readonly deed: 'kill' | 'freeze' | null,
    private readonly frozenMs: number,
    private stepsLeft: number | null,
  ) {}

  step(): void {
    if (this.stepsLeft === null || --this.stepsLeft > 0) return;
    this.stepsLeft = null;
    if (this.deed === 'kill') this.process.kill();
    if (this.deed === 'freeze') this.process.freeze(this.frozenMs);
  }
}
