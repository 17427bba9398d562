import type { Finding } from '../engine/queue';

/** A message as a provider shows it, or told it by webhook. */
export interface SeenMessage {
  id: string;
  chatId: string | null;
  text: string;
  /** ISO 8601, by the provider's clock. */
  at: string;
}

/** How far a provider's clock may be behind ours. */
const skewMs = 5_000;
/** Further back than any clock is wrong: what lies between may be of the attempt and may not. */
export const doubtMs = 10 * 60_000;

/**
 * Which of the messages that the account sent are what an attempt of `text`, begun at `attemptedAt`, left behind. One with the same
 * text, not older than the attempt, is; one that is older by no more than a wrong clock could explain may be, and so may one
 * that a network has cut, marked up or emptied. Messages that other rows account for are not known here: the database leaves them out.
 */
export function judgeMessages(
  text: string,
  attemptedAt: string,
  messages: SeenMessage[],
): Pick<Finding, 'proofs' | 'doubts'> {
  const begunAt = Date.parse(attemptedAt);
  const wanted = plain(text);
  const oldestFirst = [...messages].sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
  const proofs: Finding['proofs'] = [];
  const doubts: string[] = [];
  for (const message of oldestFirst) {
    const sentAt = Date.parse(message.at);
    const seen = plain(message.text);
    if (seen === wanted && sentAt >= begunAt - skewMs) {
      proofs.push({ messageId: message.id, result: { chat_id: message.chatId } });
    } else if ((seen === '' || isAlike(seen, wanted)) && sentAt >= begunAt - doubtMs) doubts.push(message.id);
  }
  return { proofs, doubts };
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
