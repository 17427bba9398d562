import type { Finding } from '../../engine/ports/queue-store.ts';

/** A message that a provider lists or reported by webhook. */
interface SeenMessage {
  id: string;
  chatId: string | null;
  text: string;
  /** ISO 8601, by the provider's clock. */
  at: string;
}

/** `fromUs`: the provider says that the account sent it. */
export type SeenInChat = SeenMessage & { fromUs: boolean };

/** How far a provider's clock may be behind ours, in milliseconds. */
const skewMs = 5_000;
/** The largest error of a message's time, if the provider gives a local time without its offset. No time zone is more than 14 hours from UTC. */
export const clockRoomMs = 24 * 3_600_000;

/**
 * Finds what an attempt of `text`, begun at `attemptedAt`, may have left in its chat.
 *
 * - Proof: a message of ours with the same text that is not older than the attempt. If one of `others`, the texts of other uncertain messages to
 *   the same person, is the same, such a message is only a candidate.
 * - Candidate: any other message of ours from a day before the attempt on, with any text, because networks shorten links, escape, cut, sign and
 *   translate. Also a message of that time with a similar text that the provider attributes to the other person.
 *
 * A candidate blocks sending again until a person has decided. The database ignores messages that other rows have.
 */
export function matchMessages(
  text: string,
  attemptedAt: string,
  messages: SeenInChat[],
  others: string[] = [],
): Pick<Finding, 'proof' | 'candidates'> {
  const ours = messages.filter(({ fromUs }) => fromUs);
  const isShared = others.some((other) => normalizeSpace(other) === normalizeSpace(text));
  const proof = isShared ? [] : proofByText(text, attemptedAt, ours);
  const proved = new Set(proof.map(({ messageId }) => messageId));
  const since = Date.parse(attemptedAt) - clockRoomMs;
  const candidates = messages
    .filter(({ id, at }) => Date.parse(at) >= since && !proved.has(id))
    .filter((message) => message.fromUs || mayMatch(normalizeSpace(message.text), normalizeSpace(text)))
    .map(({ id }) => id);
  return { proof, candidates };
}

/** Returns the messages with the same text that are not older than the attempt, the oldest first. */
export function proofByText(text: string, attemptedAt: string, messages: SeenMessage[]): Finding['proof'] {
  const earliest = Date.parse(attemptedAt) - skewMs;
  const wanted = normalizeSpace(text);
  return messages
    .filter(({ at, text: seen }) => Date.parse(at) >= earliest && normalizeSpace(seen) === wanted)
    .sort((a, b) => Date.parse(a.at) - Date.parse(b.at))
    .map(({ id, chatId }) => ({ messageId: id, result: { chat_id: chatId } }));
}

/** Whether a network may have turned `wanted` into the seen text: the same, cut, marked up or emptied. */
export function mayBecome(wanted: string, seen: string): boolean {
  const text = normalizeSpace(seen);
  return text === '' || mayMatch(text, normalizeSpace(wanted));
}

/** Networks trim texts, and encode line breaks and accents in their own ways. */
function normalizeSpace(text: string): string {
  return text.normalize('NFC').replace(/\s+/g, ' ').trim();
}

/** A shorter beginning of a text, in letters and digits, matches nothing: "Hi" begins many messages. */
const minPrefixLength = 20;

/** Whether the seen text is the wanted one or its beginning. Compares letters and digits only: networks change emoji, links and punctuation. */
function mayMatch(seen: string, wanted: string): boolean {
  const [one, other] = [normalizeLetters(seen), normalizeLetters(wanted)];
  return one === other || (one.length >= minPrefixLength && other.startsWith(one));
}

const normalizeLetters = (text: string) => text.replace(/[^\p{L}\p{N}]/gu, '').toLowerCase();
