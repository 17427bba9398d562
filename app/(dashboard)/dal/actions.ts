import { parseInput } from '@/lib/http/input/parse-input.ts';
import {
  type ActionPreview,
  type ActionProof,
  actionsQuery,
  listActions,
  proveAction,
  readAction,
  startAction,
} from '@/lib/operate/rows/actions.ts';
import { readCursor } from './read-cursor.ts';
import { orNotFound, visitedServices, withFields } from './visited.ts';

/** Says what an action would do. Throws an `HttpError` that names what is wrong with `body`. */
export async function previewAction(queue: string, body: object): Promise<ActionPreview> {
  const { rpc } = await visitedServices();
  const preview = await withFields(() => startAction(rpc, queue, { ...body, dry_run: true }, ''));
  if ('id' in preview) throw new Error('a dry run starts nothing');
  return preview;
}

/** Reads a page of the actions, the latest first. */
export async function readActions(query: { cursor?: string }) {
  const { rpc } = await visitedServices();
  return listActions(rpc, { ...parseInput(actionsQuery, { limit: '50' }), ...readCursor(query.cursor) });
}

/** Reads an action with what became of its rows. */
export async function readOneAction(id: string) {
  const { rpc } = await visitedServices();
  return orNotFound(() => readAction(rpc, id));
}

/** Calls of 500 rows, so that a page takes a second at most. */
const proofCalls = 4;

/** Reads what the evidence shows of up to 2,000 rows of an action, from a cursor on. */
export async function readProof(id: string, cursor: string | undefined): Promise<ActionProof> {
  const { rpc } = await visitedServices();
  const proof: ActionProof = { rows: 0, verdicts: {}, next: cursor ?? null };
  for (let call = 0; call < proofCalls && (call === 0 || proof.next !== null); call++) {
    const from = readCursor(proof.next ?? undefined).cursor;
    const { rows, verdicts, next } = await orNotFound(() => proveAction(rpc, id, from));
    proof.rows += rows;
    for (const [verdict, count] of Object.entries(verdicts))
      proof.verdicts[verdict] = (proof.verdicts[verdict] ?? 0) + count;
    proof.next = next;
  }
  return proof;
}
