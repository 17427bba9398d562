/** The command cannot go on. The message says what to do; nothing was written. */
export class CliError extends Error {
  override readonly name = 'CliError';
  constructor(
    message: string,
    /** 1: the command failed. 2: its arguments or the folder do not allow it. */
    readonly exitCode: 1 | 2 = 2,
  ) {
    super(message);
  }
}
