/** One line of the doctor's report. `fail`: rows would not run, or data is open. `warn`: something is missing that most apps need. */
export interface Finding {
  state: 'pass' | 'warn' | 'fail';
  text: string;
  /** What to do. */
  mend?: string;
}

export const pass = (text: string): Finding => ({ state: 'pass', text });
export const warn = (text: string, mend: string): Finding => ({ state: 'warn', text, mend });
export const fail = (text: string, mend: string): Finding => ({ state: 'fail', text, mend });
