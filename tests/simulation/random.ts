/** Returns one random stream for each purpose, so that an extra draw in one place changes nothing in another. */
export function randomStreams(seed: number): (name: string) => RandomStream {
  return (name) => new RandomStream(`${seed}/${name}`);
}

export class RandomStream {
  private readonly state: [number, number, number, number];

  constructor(name: string) {
    // Seeds sfc32 with three salted FNV-1a hashes. Both algorithms are in the public domain.
    const hashWith = (salt: number) => {
      let hash = 2_166_136_261 ^ salt;
      for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 16_777_619);
      return hash >>> 0;
    };
    this.state = [hashWith(1), hashWith(2), hashWith(3), 1];
    for (let i = 0; i < 15; i++) this.next();
  }

  /** Returns a number in [0, 1). */
  next = (): number => {
    let [a, b, c, d] = this.state;
    const t = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + t;
    this.state.splice(0, 4, a, b, c | 0, d);
    return (t >>> 0) / 4_294_967_296;
  };

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  between(min: number, max: number): number {
    return min + this.next() * (max - min);
  }

  integer(min: number, max: number): number {
    return Math.floor(this.between(min, max + 1));
  }

  /** Returns a number that is uniform in its logarithm: as likely between 1 and 10 as between 10 and 100. */
  magnitude(min: number, max: number): number {
    return min * (max / min) ** this.next();
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.integer(0, choices.length - 1)] as T;
  }

  /** Picks a name with a probability proportional to its weight. */
  weighted<Name extends string>(weights: Record<Name, number>): Name {
    const entries = Object.entries(weights) as [Name, number][];
    let left = this.next() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [name, weight] of entries) {
      left -= weight;
      if (left < 0) return name;
    }
    return (entries.at(-1) as [Name, number])[0];
  }

  uuid(): string {
    const hex = Array.from({ length: 32 }, () => Math.floor(this.next() * 16).toString(16));
    hex[12] = '4';
    hex[16] = '8';
    return hex.join('').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  }
}
