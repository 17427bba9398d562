import type { Step } from './draw-sequences.ts';
import { isOpenAt } from './expected-pace.ts';
import type { ProviderCall, ProviderMessage } from './provider-model.ts';
import type { EnrolmentChange, Transition } from './recorder.ts';
import type { FinalEnrolment, FinalRow, FinishedRun } from './run-simulation.ts';
import { type Act, type Enrolled, isChatOf } from './sequence-operator.ts';
import { chatWith, hour, minute, second } from './world.ts';

/** Returns the text of a step's message, filled in with the person's variables. */
export function textOf({ steps, person }: Enrolled, step: number, isReminder: boolean): string {
  const drawn = steps[step - 1];
  const text = (isReminder ? drawn?.reminder?.body : drawn?.body) ?? `there is no step ${step}`;
  return text.replaceAll(/\{\{ ?([a-z]+) ?\}\}/g, (_, name: string) => person.variables[name] ?? '');
}

/** A person's reply: when it was written, and when it became known. */
export interface Reply {
  message: ProviderMessage | null;
  /** When the call that reported it ran. */
  knownAt: number;
  /** When the person wrote it. */
  madeAt: number;
  /** The latest that the report allows for `madeAt`: a report without a time counts from its own arrival. */
  countsFrom: number;
}

/** One row of dm_queue that an enrolment inserted. */
export interface StepRow {
  row: FinalRow;
  step: number;
  isReminder: boolean;
  changes: Transition[];
  claims: number[];
  /** When the row was settled as sent; null if it never was. */
  sentAt: number | null;
  /** A person set its due time by plain SQL, which overrides the step's own. */
  isMoved: boolean;
}

/** Everything that happened to one enrolment, from the records of the provider, the recorder and the operators. */
export interface Story {
  enrolled: Enrolled;
  final: FinalEnrolment | undefined;
  rows: StepRow[];
  /** In the order in which they became known. */
  replies: Reply[];
  acts: Act[];
  changes: EnrolmentChange[];
  /** By the provider's record: the messages of a step that it delivered, and the calls that it got. */
  delivered(step: number, isReminder: boolean): ProviderMessage[];
  calls(step: number, isReminder: boolean): ProviderCall[];
}

/** The first receipt of a message. */
interface FirstReceipt {
  at: number;
  recipient: string | null;
}

const cache = new WeakMap<FinishedRun, Story[]>();

/** Returns the stories of all enrolments of a run. Computes them once a run. */
export function storiesOf(run: FinishedRun): Story[] {
  const cached = cache.get(run);
  if (cached) return cached;
  const transitions = groupBy(run.transitions, ({ rowId }) => rowId);
  const changes = groupBy(run.enrolmentChanges, ({ enrolmentId }) => enrolmentId);
  const acts = groupBy(run.acts, ({ enrolmentId }) => enrolmentId);
  const messages = groupBy(run.messages, ({ accountId, text }) => `${accountId} ${text}`);
  const calls = groupBy(run.calls, ({ accountId, text }) => `${accountId} ${text}`);
  const finals = new Map(run.enrolments.map((final) => [final.id, final]));
  const firstReceipts = new Map<string, FirstReceipt>();
  for (const receipt of run.receipts) {
    if (receipt.status === 'received' && !firstReceipts.has(receipt.messageId))
      firstReceipts.set(receipt.messageId, receipt);
  }
  const rows = new Map<string, StepRow[]>();
  for (const [id, own] of groupBy(run.rows, ({ enrolmentId }) => enrolmentId ?? '')) {
    rows.set(
      id,
      own.map((row) => stepRow(row, transitions.get(row.id) ?? [])),
    );
  }
  const chatsKnownAt = chatsKnown(run, rows, firstReceipts);
  const stories = [...run.enrolled.values()].map((enrolled): Story => {
    const key = (step: number, isReminder: boolean) =>
      `${enrolled.person.account.provider_account_id} ${textOf(enrolled, step, isReminder)}`;
    return {
      enrolled,
      final: finals.get(enrolled.id),
      rows: rows.get(enrolled.id) ?? [],
      replies: repliesTo(enrolled, chatsKnownAt, run, firstReceipts),
      acts: acts.get(enrolled.id) ?? [],
      changes: changes.get(enrolled.id) ?? [],
      delivered: (step, isReminder) =>
        (messages.get(key(step, isReminder)) ?? []).filter((message) => !message.byHand && !message.failed),
      calls: (step, isReminder) => calls.get(key(step, isReminder)) ?? [],
    };
  });
  cache.set(run, stories);
  return stories;
}

const personKey = ({ account, recipient, chatId }: Enrolled['person']) =>
  `${account.provider_account_id} ${recipient ?? chatId}`;

function stepRow(row: FinalRow, changes: Transition[]): StepRow {
  return {
    row,
    step: row.step ?? 0,
    isReminder: row.isReminder,
    changes,
    claims: changes.filter(({ from, to }) => to === 'running' && from !== 'running').map(({ at }) => at),
    sentAt: changes.find(({ to }) => to === 'done')?.at ?? null,
    isMoved: changes.some(({ byHand }) => byHand === 'due moved'),
  };
}

/** Returns, for each person, since when our record knows the person's chat, over all of the person's enrolments. */
function chatsKnown(
  run: FinishedRun,
  rows: Map<string, StepRow[]>,
  firstReceipts: Map<string, FirstReceipt>,
): Map<string, number> {
  const knownAt = new Map<string, number>();
  // An API report of a message that a webhook reported before also identifies the message's chat.
  const named = new Map<string, number>();
  for (const { at, enrolmentId, messageId } of run.apiReplies) {
    const receipt = messageId === null ? undefined : firstReceipts.get(messageId);
    if (receipt && receipt.at <= at && receipt.recipient === null && !named.has(enrolmentId))
      named.set(enrolmentId, at);
  }
  for (const { id, person } of run.enrolled.values()) {
    const sent = (rows.get(id) ?? []).filter(({ row }) => row.chatId !== null);
    const at = Math.min(
      person.chatId !== null ? 0 : Number.POSITIVE_INFINITY,
      ...sent.map(({ sentAt }) => sentAt ?? Number.POSITIVE_INFINITY),
      run.assigned.get(id) ?? Number.POSITIVE_INFINITY,
      named.get(id) ?? Number.POSITIVE_INFINITY,
      knownAt.get(personKey(person)) ?? Number.POSITIVE_INFINITY,
    );
    knownAt.set(personKey(person), at);
  }
  return knownAt;
}

function repliesTo(
  enrolled: Enrolled,
  chatsKnownAt: Map<string, number>,
  run: FinishedRun,
  firstReceipts: Map<string, FirstReceipt>,
): Reply[] {
  const { person } = enrolled;
  const digits = (number: string | null) => number?.replaceAll(/^\+/g, '');
  const chatKnownAt = chatsKnownAt.get(personKey(person)) ?? Number.POSITIVE_INFINITY;
  const reports: ReplyReport[] = [];
  for (const message of run.messages) {
    if (message.fromUs || !isChatOf(enrolled, message)) continue;
    const receipt = firstReceipts.get(message.id);
    if (!receipt || receipt.at < enrolled.at) continue;
    const isNamed =
      receipt.recipient !== null &&
      (receipt.recipient === person.recipient || digits(receipt.recipient) === digits(person.recipient));
    const knownAt = isNamed ? receipt.at : Math.max(receipt.at, chatKnownAt);
    const { id, deliveredAt: madeAt, saidAt } = message;
    const countsFrom = Math.min(receipt.at, saidAt + second);
    reports.push({ id, reportedAt: receipt.at, message, knownAt, madeAt, countsFrom });
  }
  for (const { at, enrolmentId, madeAt, saidAt, messageId } of run.apiReplies) {
    const named = run.enrolled.get(enrolmentId)?.person;
    if (at < enrolled.at) continue;
    // A report counts for all enrolments of the person with that account.
    const isSame =
      named?.account === person.account &&
      ((person.recipient !== null && digits(named.recipient) === digits(person.recipient)) ||
        (chatWith(named) === chatWith(person) && chatKnownAt <= at));
    if (enrolmentId !== enrolled.id && !isSame) continue;
    const countsFrom = Math.min(at, (saidAt ?? at) + second);
    reports.push({ id: messageId, reportedAt: at, message: null, knownAt: at, madeAt, countsFrom });
  }
  return mergeReports(reports).sort((a, b) => a.knownAt - b.knownAt);
}

/** One webhook's or one API call's report of a reply. */
interface ReplyReport extends Reply {
  /** The provider's id; null if the caller gave none. */
  id: string | null;
  reportedAt: number;
}

/** Merges the reports of each reply. The first report counts; the reply is known as soon as one of them names the person. */
function mergeReports(reports: ReplyReport[]): Reply[] {
  const alone = reports.filter(({ id }) => id === null);
  const grouped = groupBy(
    reports.filter(({ id }) => id !== null),
    ({ id }) => id as string,
  );
  const replies = [...alone, ...[...grouped.values()].map(firstOf)];
  return replies.filter(({ knownAt }) => knownAt < Number.POSITIVE_INFINITY);
}

function firstOf(reports: ReplyReport[]): Reply {
  const first = reports.reduce((a, b) => (b.reportedAt < a.reportedAt ? b : a));
  return { ...first, knownAt: Math.min(...reports.map(({ knownAt }) => knownAt)) };
}

/** Returns the last step that was sent by an instant, or 0 if none was. */
export function lastSent({ rows }: Story, at: number): number {
  return Math.max(
    0,
    ...rows
      .filter(({ isReminder, sentAt }) => !isReminder && sentAt !== null && sentAt <= at)
      .map(({ step }) => step),
  );
}

/** Returns the row that sent a step: the last one before an instant if there were several. */
export function sentRow(
  { rows }: Story,
  step: number,
  before = Number.POSITIVE_INFINITY,
): (StepRow & { sentAt: number }) | null {
  const sent = rows.filter(
    (row) => row.step === step && !row.isReminder && row.sentAt !== null && row.sentAt < before,
  );
  return (sent.at(-1) as StepRow & { sentAt: number }) ?? null;
}

/** The most that a provider's clock may differ from ours. */
export const skewMs = 6 * second;

/** Whether the reply may count as an answer to the step: by its report, it was not written before the step was claimed. */
export function mayAnswer(reply: Reply, row: StepRow): boolean {
  return Math.max(reply.countsFrom, reply.madeAt) >= (row.claims[0] ?? Number.POSITIVE_INFINITY) - skewMs;
}

/**
 * Whether the reply answers the step, because the person had its message. A message that an operator settled as dead counts as not arrived:
 * the step was sent again, and a reply to the first message does not answer it.
 */
export function answers(story: Story, reply: Reply, step: number): boolean {
  const givenUp = story.rows
    .filter((row) => row.step === step && !row.isReminder)
    .flatMap(({ changes }) => changes.filter(({ byHand }) => byHand === 'dead').map(({ at }) => at));
  return story
    .delivered(step, false)
    .some(({ deliveredAt }) => givenUp.every((at) => deliveredAt > at) && reply.madeAt > deliveredAt);
}

/** Returns the first instant within the hours, from `at` on and to the minute, or null if there is none by `until`. */
export function openingAt(hours: Step['hours'], zone: string, at: number, until: number): number | null {
  for (let t = at; t <= until; t = Math.floor(t / minute) * minute + minute) {
    if (isOpenAt(hours, t, zone)) return t;
  }
  return null;
}

export function groupBy<Item>(items: Item[], key: (item: Item) => string): Map<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const name = key(item);
    const group = groups.get(name);
    if (group) group.push(item);
    else groups.set(name, [item]);
  }
  return groups;
}

export const iso8601 = (at: number): string => new Date(at).toISOString();

/** The longest that due work may wait for a tick in the quiet end of a run. */
export const graceMs = hour;
