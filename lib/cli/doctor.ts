import type { Terminal } from './terminal.ts';

export const usage = '';
export async function doctor(_args: string[], _terminal: Terminal): Promise<number> {
  return 0;
}
