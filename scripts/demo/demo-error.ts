/** An error that the person at the terminal can correct. The message says how, and is printed without a stack. */
export class DemoError extends Error {
  override readonly name = 'DemoError';
}
