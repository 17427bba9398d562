/** The part of a pino logger that the engine uses: fields first, then one fixed sentence. */
export interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export const silentLog: Log = { info() {}, warn() {}, error() {} };

const mostMessage = 2_000;
const mostStack = 10_000;
const mostCauses = 3;

/**
 * What a handler threw, for the log: its message, stack and causes, cut to a length. Its other fields stay out, since they may hold the
 * row (as `detail` of a Postgres error does). Never throws, whatever was thrown.
 */
export function loggable(thrown: unknown, causes = mostCauses): Error {
  try {
    if (!(thrown instanceof Error)) return new Error(`not an error: ${String(thrown).slice(0, mostMessage)}`);
    const { message, stack, cause } = thrown;
    const options = cause instanceof Error && causes > 0 ? { cause: loggable(cause, causes - 1) } : {};
    return Object.assign(new Error(String(message).slice(0, mostMessage), options), {
      stack: stack?.slice(0, mostStack),
    });
  } catch {
    return new Error('what was thrown cannot be shown');
  }
}
