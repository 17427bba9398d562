import type { Finding } from '../../engine/ports/queue-store';

/** A message as a provider shows it, or told it by webhook. */
export interface SeenMessage {
  id: string;
  chatId: string | null;
  text: string;
  /** ISO 8601, by the provider's clock. */
  at: string;
}

/** `fromUs`: the provider says that the account sent it. */
export type SeenInChat = SeenMessage & { fromUs: boolean };

/** How far a provider's clock may be behind ours. */
const skewMs = 5_000;
/** Further back than any clock is wrong: what lies between may be of the attempt and may not. */
export const candidateMs = 10 * 60_000;

/** How far a provider's clock may be off, or a local time without its offset: no zone is further from UTC than 14 hours. */
export const clockRoomMs = 24 * 3_600_000;

/**
 * Finds what an attempt of `text`, begun at `attemptedAt`, may have left in its chat.
 *
 * A message of ours with the same text, not older than the attempt, proves it. Every other message of ours is a candidate, whatever it
 * says: networks shorten links, escape, cut, sign and translate. So is a message with a similar text that the provider calls the other
 * person's, and, while one of `others` (texts to the same person that are uncertain as well) is the same, what would prove it. A
 * candidate blocks sending again until a person has looked. The database leaves out messages that other rows bear.
 */
export function matchMessages(
  text: string,
  attemptedAt: string,
  messages: SeenInChat[],
  others: string[] = [],
): Pick<Finding, 'proof' | 'candidates'> {
  const ours = messages.filter(({ fromUs }) => fromUs);
  const isShared = others.some((other) => plain(other) === plain(text));
  const proof = isShared ? [] : matchByText(text, attemptedAt, ours).proof;
  const proved = new Set(proof.map(({ messageId }) => messageId));
  const since = Date.parse(attemptedAt) - clockRoomMs;
  const candidates = messages
    .filter(({ id, at }) => Date.parse(at) >= since && !proved.has(id))
    .filter((message) => message.fromUs || isAlike(plain(message.text), plain(text)))
    .map(({ id }) => id);
  return { proof, candidates };
}

/**
 * Compares by text alone. The same text since the attempt is proof; the same text a little older, or one that a network has cut, marked up
 * or emptied, is a candidate. A longer or another text is nothing.
 */
export function matchByText(
  text: string,
  attemptedAt: string,
  messages: SeenMessage[],
): Pick<Finding, 'proof' | 'candidates'> {
  const begunAt = Date.parse(attemptedAt);
  const wanted = plain(text);
  const oldestFirst = [...messages].sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
  const proof: Finding['proof'] = [];
  const candidates: string[] = [];
  for (const message of oldestFirst) {
    const sentAt = Date.parse(message.at);
    const seen = plain(message.text);
    if (seen === wanted && sentAt >= begunAt - skewMs) {
      proof.push({ messageId: message.id, result: { chat_id: message.chatId } });
    } else if ((seen === '' || isAlike(seen, wanted)) && sentAt >= begunAt - candidateMs)
      candidates.push(message.id);
  }
  return { proof, candidates };
}

/** Networks trim, and write line breaks and accents in their own way. */
function plain(text: string): string {
  return text.normalize('NFC').replace(/\s+/g, ' ').trim();
}

/** A cut that leaves less than this of a text proves no kinship: "Hi" begins many messages. */
const leastCut = 20;

/** Letters and digits only: emoji, links and punctuation are what networks change. One may be cut off. */
function isAlike(seen: string, wanted: string): boolean {
  const [one, other] = [bare(seen), bare(wanted)];
  return one === other || (one.length >= leastCut && other.startsWith(one));
}

const bare = (text: string) => text.replace(/[^\p{L}\p{N}]/gu, '').toLowerCase();
