import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { dripResponse, type SandboxResponse, writeResponse } from './response.ts';

/** A flapping site is up for this long first, so that a monitor sees it up. */
const FLAPS_AFTER_SECONDS = 20;
const FLAP_SECONDS = 40;
const RECOVERS_AFTER_SECONDS = 60;

/** How a site handles one request. */
type Behaviour =
  | { kind: 'response'; waitMs: number; response: SandboxResponse }
  | { kind: 'silent' }
  | { kind: 'drip'; response: SandboxResponse };

/**
 * Sites for monitors, `GET /sites/<behaviour>/<any-name>`. The behaviour depends only on the path and on the seconds since its first request.
 *
 * | behaviour | does |
 * |---|---|
 * | `ok` | 200 after 20 to 150 ms, with a page that says `all is well` |
 * | `slow` | the same after 1.2 to 2.5 s |
 * | `closed` | 200 as `ok`, but the page says `closed for maintenance` |
 * | `down` | 503 |
 * | `gone` | 404 |
 * | `moved` | 302 to the `ok` site of the same name |
 * | `loop` | 302 to itself, for ever |
 * | `silent` | accepts the request and never responds |
 * | `drip` | 200, one byte a second, from the status line on |
 * | `flapping` | `ok` for 20 s, then 503 and `ok` in turns of 40 s |
 * | `recovering` | 503 for 60 s, then `ok` |
 */
export class Sites {
  readonly #firstRequestMs = new Map<string, number>();
  readonly #waiting = new Set<NodeJS.Timeout>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number = Date.now) {
    this.#nowMs = nowMs;
  }

  /** Returns the behaviour of a site; null if there is no such site. */
  behaviourOf(path: string): Behaviour | null {
    const [, behaviour, name = ''] = /^\/sites\/([a-z]+)(?:\/([\w-]+))?\/?$/.exec(path) ?? [];
    if (behaviour === undefined) return null;
    const seconds = this.#secondsSinceFirstRequest(path);
    switch (behaviour) {
      case 'ok':
        return well(name, wait(path, seconds, 20, 150));
      case 'slow':
        return well(name, wait(path, seconds, 1_200, 2_500));
      case 'closed':
        return page(200, name, 'closed for maintenance', wait(path, seconds, 20, 150));
      case 'down':
        return page(503, name, 'the database is away', 10);
      case 'gone':
        return page(404, name, 'nothing here', 10);
      case 'moved':
        return redirect(`/sites/ok/${name}`);
      case 'loop':
        return redirect(path);
      case 'silent':
        return { kind: 'silent' };
      case 'drip':
        return { kind: 'drip', response: { status: 200, body: 'all is well, only slowly\n' } };
      case 'flapping':
        return isFlappedDown(seconds)
          ? page(503, name, 'too many connections', 10)
          : well(name, wait(path, seconds, 20, 150));
      case 'recovering':
        return seconds < RECOVERS_AFTER_SECONDS
          ? page(503, name, 'being deployed', 10)
          : well(name, wait(path, seconds, 20, 150));
      default:
        return null;
    }
  }

  respond(path: string, response: ServerResponse): void {
    const behaviour = this.behaviourOf(path);
    if (behaviour === null) writeResponse(response, { status: 404, body: 'There is no such site.\n' });
    else if (behaviour.kind === 'drip') dripResponse(response, behaviour.response);
    else if (behaviour.kind === 'response') this.#respondLater(behaviour, response);
  }

  close(): void {
    for (const timer of this.#waiting) clearTimeout(timer);
  }

  #respondLater(behaviour: Behaviour & { kind: 'response' }, response: ServerResponse): void {
    const timer = setTimeout(() => {
      this.#waiting.delete(timer);
      writeResponse(response, behaviour.response);
    }, behaviour.waitMs);
    this.#waiting.add(timer);
  }

  #secondsSinceFirstRequest(path: string): number {
    const nowMs = this.#nowMs();
    const firstMs = this.#firstRequestMs.get(path) ?? nowMs;
    this.#firstRequestMs.set(path, firstMs);
    return (nowMs - firstMs) / 1_000;
  }
}

function isFlappedDown(seconds: number): boolean {
  const turn = Math.floor((seconds - FLAPS_AFTER_SECONDS) / FLAP_SECONDS);
  return turn >= 0 && turn % 2 === 0;
}

/** Returns a latency that changes each second, and is the same within one. */
function wait(path: string, seconds: number, minMs: number, maxMs: number): number {
  const hash = createHash('sha256')
    .update(`${path} ${Math.floor(seconds)}`)
    .digest()
    .readUInt16BE();
  return Math.round(minMs + (hash / 0xffff) * (maxMs - minMs));
}

const well = (name: string, waitMs: number) => page(200, name, 'all is well', waitMs);

function page(status: number, name: string, text: string, waitMs: number): Behaviour {
  const body = `<!doctype html><title>${name}</title><p>${text}</p>\n`;
  return {
    kind: 'response',
    waitMs,
    response: { status, headers: { 'content-type': 'text/html; charset=utf-8' }, body },
  };
}

function redirect(location: string): Behaviour {
  return { kind: 'response', waitMs: 10, response: { status: 302, headers: { location }, body: 'Moved.\n' } };
}
