import { enrolmentsQuery, listEnrolments, readEnrolment } from '@/lib/queues/sequences/enrolments.ts';
import { listSequences, readSequence } from '@/lib/queues/sequences/sequences.ts';
import { readCursor } from './read-cursor.ts';
import { orNotFound, visitedServices } from './visited.ts';

/** Each costs a read of its whole funnel. */
const sequencesOnPage = 10;

/** Reads a page of sequences, the newest first. */
export async function readSequences(cursor?: string) {
  const { rpc } = await visitedServices();
  return listSequences(rpc, { limit: sequencesOnPage, ...readCursor(cursor) });
}

/** Reads one sequence with its funnel. */
export async function readOneSequence(id: string) {
  const { rpc } = await visitedServices();
  return orNotFound(() => readSequence(rpc, id));
}

/** Reads a page of the people of a sequence. */
export async function readPeople(query: { sequence: string; phase?: string; cursor?: string }) {
  const { rpc } = await visitedServices();
  return listEnrolments(rpc, enrolmentsQuery.parse({ limit: '20', ...query }));
}

/** Reads one person's way through a sequence. */
export async function readPerson(id: string) {
  const { rpc } = await visitedServices();
  return orNotFound(() => readEnrolment(rpc, id));
}
