import type { Finding } from '../../engine/ports/queue-store.ts';

/** A message that a provider lists or reported by webhook. */
export interface SeenMessage {
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
/** No clock is wrong by more. A message that is older than the attempt by up to this is a candidate. */
export const candidateMs = 10 * 60_000;

/** The largest error of a message's time, if the provider gives a local time without its offset. No time zone is more than 14 hours from UTC. */
export const clockRoomMs = 24 * 3_600_000;

/**
 * Finds what an attempt of `text`, begun at `attemptedAt`, may have left in its chat.
 *
 * - Proof: a message of ours with the same text that is not older than the attempt. If one of `others`, the texts of other uncertain messages to
 *   the same person, is the same, such a message is only a candidate.
 * - Candidate: every other message of ours with any text, because networks shorten links, escape, cut, sign and translate. Also a message with a
 *   similar text that the provider attributes to the other person.
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
  const proof = isShared ? [] : matchByText(text, attemptedAt, ours).proof;
  const proved = new Set(proof.map(({ messageId }) => messageId));
  const since = Date.parse(attemptedAt) - clockRoomMs;
  const candidates = messages
    .filter(({ id, at }) => Date.parse(at) >= since && !proved.has(id))
    .filter((message) => message.fromUs || mayMatch(normalizeSpace(message.text), normalizeSpace(text)))
    .map(({ id }) => id);
  return { proof, candidates };
}

/**
 * Compares by text alone. The same text since the attempt is proof. The same text up to `candidateMs` older is a candidate, and so is a text that
 * a network has cut, marked up or emptied. A longer or different text is neither.
 */
export function matchByText(
  text: string,
  attemptedAt: string,
  messages: SeenMessage[],
): Pick<Finding, 'proof' | 'candidates'> {
  const begunAt = Date.parse(attemptedAt);
  const wanted = normalizeSpace(text);
  const oldestFirst = [...messages].sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
  const proof: Finding['proof'] = [];
  const candidates: string[] = [];
  for (const message of oldestFirst) {
    const sentAt = Date.parse(message.at);
    const seen = normalizeSpace(message.text);
    if (seen === wanted && sentAt >= begunAt - skewMs) {
      proof.push({ messageId: message.id, result: { chat_id: message.chatId } });
    } else if ((seen === '' || mayMatch(seen, wanted)) && sentAt >= begunAt - candidateMs)
      candidates.push(message.id);
  }
  return { proof, candidates };
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
