/** Something that the person at the terminal can mend. The message says what to do; a stack would only hide it. */
export class DemoError extends Error {
  override readonly name = 'DemoError';
}
