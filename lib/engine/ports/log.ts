/** The methods of a pino logger that the engine uses: fields first, then a constant message. */
export interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export const silentLog: Log = { info() {}, warn() {}, error() {} };

/** In characters. */
const maxMessageLength = 2_000;
const maxStackLength = 10_000;
const maxCauses = 3;

/**
 * Copies the message, stack and causes of a thrown value for the log, each cut to its limit. Other fields are left out, because they may hold
 * the row, as `detail` of a Postgres error does. Never throws.
 */
export function loggable(thrown: unknown, causes = maxCauses): Error {
  try {
    if (!(thrown instanceof Error))
      return new Error(`not an error: ${String(thrown).slice(0, maxMessageLength)}`);
    const { message, stack, cause } = thrown;
    const options = cause instanceof Error && causes > 0 ? { cause: loggable(cause, causes - 1) } : {};
    return Object.assign(new Error(String(message).slice(0, maxMessageLength), options), {
      stack: stack?.slice(0, maxStackLength),
    });
  } catch {
    return new Error('the thrown value cannot be read');
  }
}
