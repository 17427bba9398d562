import type { Step } from './draw-sequences.ts';
import { isOpenAt } from './pace-reckoning.ts';
import type { ProviderCall, ProviderMessage } from './provider-model.ts';
import type { EnrolmentChange, Transition } from './recorder.ts';
import type { FinalEnrolment, FinalRow, FinishedRun } from './run-simulation.ts';
import { type Act, type Enrolled, isChatOf } from './sequence-operator.ts';
import { chatWith, hour, minute, second } from './world.ts';

/** What a step's message reads, filled in by what the person brought. */
export function textOf({ steps, person }: Enrolled, step: number, isReminder: boolean): string {
  const drawn = steps[step - 1];
  const text = (isReminder ? drawn?.reminder?.body : drawn?.body) ?? `there is no step ${step}`;
  return text.replaceAll(/\{\{ ?([a-z]+) ?\}\}/g, (_, name: string) => person.variables[name] ?? '');
}

/** A reply as it became known, and as it was. */
export interface Reply {
  message: ProviderMessage | null;
  /** The call that told it was carried out then. */
  knownAt: number;
  /** When the person wrote it. */
  madeAt: number;
  /** When it was made by what we were told, at the latest: one that says nothing of it was made when it was told. */
  countsFrom: number;
}

/** One row of dm_queue that an enrolment put there. */
export interface StepRow {
  row: FinalRow;
  step: number;
  isReminder: boolean;
  changes: Transition[];
  claims: number[];
  /** When it was settled that it went out; null when that never was. */
  sentAt: number | null;
  /** Somebody has set its due time: then it is due when he says. */
  isMoved: boolean;
}

/** All that befell one enrolment, from the provider's books, the recorder's, and those of whoever acted. */
export interface Story {
  enrolled: Enrolled;
  final: FinalEnrolment | undefined;
  rows: StepRow[];
  /** In the order in which they became known. */
  replies: Reply[];
  acts: Act[];
  changes: EnrolmentChange[];
  /** Of the provider's books: what it delivered of a step, and what it was asked. */
  delivered(step: number, isReminder: boolean): ProviderMessage[];
  calls(step: number, isReminder: boolean): ProviderCall[];
}

/** A message as a webhook told of it for the first time. */
interface FirstTold {
  at: number;
  recipient: string | null;
}

const told = new WeakMap<FinishedRun, Story[]>();

export function storiesOf(run: FinishedRun): Story[] {
  const known = told.get(run);
  if (known) return known;
  const transitions = groupBy(run.transitions, ({ rowId }) => rowId);
  const changes = groupBy(run.enrolmentChanges, ({ enrolmentId }) => enrolmentId);
  const acts = groupBy(run.acts, ({ enrolmentId }) => enrolmentId);
  const messages = groupBy(run.messages, ({ accountId, text }) => `${accountId} ${text}`);
  const calls = groupBy(run.calls, ({ accountId, text }) => `${accountId} ${text}`);
  const finals = new Map(run.enrolments.map((final) => [final.id, final]));
  const firstTold = new Map<string, FirstTold>();
  for (const receipt of run.told) {
    if (receipt.status === 'received' && !firstTold.has(receipt.messageId))
      firstTold.set(receipt.messageId, receipt);
  }
  const rows = new Map<string, StepRow[]>();
  for (const [id, own] of groupBy(run.rows, ({ enrolmentId }) => enrolmentId ?? '')) {
    rows.set(
      id,
      own.map((row) => stepRow(row, transitions.get(row.id) ?? [])),
    );
  }
  const chatsKnownAt = chatsKnown(run, rows, firstTold);
  const stories = [...run.enrolled.values()].map((enrolled): Story => {
    const key = (step: number, isReminder: boolean) =>
      `${enrolled.person.account.provider_account_id} ${textOf(enrolled, step, isReminder)}`;
    return {
      enrolled,
      final: finals.get(enrolled.id),
      rows: rows.get(enrolled.id) ?? [],
      replies: repliesTo(enrolled, chatsKnownAt, run, firstTold),
      acts: acts.get(enrolled.id) ?? [],
      changes: changes.get(enrolled.id) ?? [],
      delivered: (step, isReminder) =>
        (messages.get(key(step, isReminder)) ?? []).filter((message) => !message.byHand && !message.failed),
      calls: (step, isReminder) => calls.get(key(step, isReminder)) ?? [],
    };
  });
  told.set(run, stories);
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

/** From when on it is known by our books which chat is a person's, in all the sequences that he is in. */
function chatsKnown(
  run: FinishedRun,
  rows: Map<string, StepRow[]>,
  firstTold: Map<string, FirstTold>,
): Map<string, number> {
  const knownAt = new Map<string, number>();
  // Who says whose a message is that a webhook has told of says whose chat it came from.
  const named = new Map<string, number>();
  for (const { at, enrolmentId, messageId } of run.toldByApi) {
    const receipt = messageId === null ? undefined : firstTold.get(messageId);
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
  firstTold: Map<string, FirstTold>,
): Reply[] {
  const { person } = enrolled;
  const digits = (number: string | null) => number?.replaceAll(/^\+/g, '');
  const chatKnownAt = chatsKnownAt.get(personKey(person)) ?? Number.POSITIVE_INFINITY;
  const tellings: Telling[] = [];
  for (const message of run.messages) {
    if (message.fromUs || !isChatOf(enrolled, message)) continue;
    const receipt = firstTold.get(message.id);
    if (!receipt || receipt.at < enrolled.at) continue;
    const isNamed =
      receipt.recipient !== null &&
      (receipt.recipient === person.recipient || digits(receipt.recipient) === digits(person.recipient));
    const knownAt = isNamed ? receipt.at : Math.max(receipt.at, chatKnownAt);
    const { id, deliveredAt: madeAt, saidAt } = message;
    const countsFrom = Math.min(receipt.at, saidAt + second);
    tellings.push({ id, toldAt: receipt.at, message, knownAt, madeAt, countsFrom });
  }
  for (const { at, enrolmentId, madeAt, saidAt, messageId } of run.toldByApi) {
    const named = run.enrolled.get(enrolmentId)?.person;
    if (at < enrolled.at) continue;
    // It counts for all enrolments of the person through that account.
    const isSame =
      named?.account === person.account &&
      ((person.recipient !== null && digits(named.recipient) === digits(person.recipient)) ||
        (chatWith(named) === chatWith(person) && chatKnownAt <= at));
    if (enrolmentId !== enrolled.id && !isSame) continue;
    const countsFrom = Math.min(at, (saidAt ?? at) + second);
    tellings.push({ id: messageId, toldAt: at, message: null, knownAt: at, madeAt, countsFrom });
  }
  return merged(tellings).sort((a, b) => a.knownAt - b.knownAt);
}

/** A reply as one webhook or one call told of it. */
interface Telling extends Reply {
  /** The provider's; null where the caller gave none. */
  id: string | null;
  toldAt: number;
}

/** What was told several times is one reply, as it was told first, known as soon as one of them says whose it is. */
function merged(tellings: Telling[]): Reply[] {
  const alone = tellings.filter(({ id }) => id === null);
  const grouped = groupBy(
    tellings.filter(({ id }) => id !== null),
    ({ id }) => id as string,
  );
  const replies = [...alone, ...[...grouped.values()].map(firstOf)];
  return replies.filter(({ knownAt }) => knownAt < Number.POSITIVE_INFINITY);
}

function firstOf(tellings: Telling[]): Reply {
  const first = tellings.reduce((a, b) => (b.toldAt < a.toldAt ? b : a));
  return { ...first, knownAt: Math.min(...tellings.map(({ knownAt }) => knownAt)) };
}

/** The step that was sent last by an instant; 0 when none was. */
export function lastSent({ rows }: Story, at: number): number {
  return Math.max(
    0,
    ...rows
      .filter(({ isReminder, sentAt }) => !isReminder && sentAt !== null && sentAt <= at)
      .map(({ step }) => step),
  );
}

/** The row by which a step went out, the last before an instant where there were several. */
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

/** A provider's clock may differ from ours by no more. */
export const skewMs = 6 * second;

/** Whether the reply may be taken for an answer to the step: by what was told of it, it was not made before that was claimed. */
export function mayAnswer(reply: Reply, row: StepRow): boolean {
  return Math.max(reply.countsFrom, reply.madeAt) >= (row.claims[0] ?? Number.POSITIVE_INFINITY) - skewMs;
}

/**
 * Whether it is an answer to the step: whoever made it had the message. An operator who gave the message up by hand has said that it did not
 * arrive: what answers that one is no answer to the step, which was sent again.
 */
export function answers(story: Story, reply: Reply, step: number): boolean {
  const givenUp = story.rows
    .filter((row) => row.step === step && !row.isReminder)
    .flatMap(({ changes }) => changes.filter(({ byHand }) => byHand === 'dead').map(({ at }) => at));
  return story
    .delivered(step, false)
    .some(({ deliveredAt }) => givenUp.every((at) => deliveredAt > at) && reply.madeAt > deliveredAt);
}

/** The first instant from `at` on within the hours, to the minute; null when there is none before `until`. */
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

export const told8601 = (at: number): string => new Date(at).toISOString();

/** How long whatever is due may stand before a tick comes to it, in the quiet at the end. */
export const graceMs = hour;
