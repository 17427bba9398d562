import type { z } from 'zod';
import type { ErrorReading } from '../../net/http';
import type { MultipartFile } from '../../net/multipart';

export interface Read {
  path: string;
  query?: Record<string, string>;
  /** How much of a list is asked for at once; a list without it is not in pages. */
  pageSize?: number;
}

export interface Write {
  path: string;
  fields: Record<string, unknown>;
}

export interface Page {
  items: unknown[];
  cursor: string | null;
  /** How many there are in all, where that is told. */
  total: number | null;
}

/** What differs between the versions of Unipile's API: where things are, how they are written, and what errors are called. */
export interface UnipileVersion {
  /** Before every path. */
  base: string;
  /** Whether an answer shows how things were, not how they are. */
  isCopy(headers: Headers): boolean;
  body(
    fields: Record<string, unknown>,
    files: MultipartFile[],
  ): { contentType: string; body: string | Uint8Array<ArrayBuffer> };
  page: z.ZodType<Page>;
  /** The page that begins at `cursor`. */
  nextPage(read: Read, cursor: string): Read;
  /** Whether a page without a cursor is the last, after `count` items in all. */
  isLast(page: Page, read: Read, count: number): boolean;
  /** A `type` in another form is none of the API's. */
  isErrorType(type: string): boolean;
  codes: ReadonlyMap<string, ErrorReading>;
  /** Whether the account that the path names, if it names one, has an id in the form of this version's. */
  isAccountPath(path: string): boolean;

  sendMessage(message: { accountId: string; chatId: string; text: string }): Write;
  startChat(message: { accountId: string; recipient: string; text: string }): Write;
  createPost(post: { accountId: string; text: string }): Write;
  messages(chat: { accountId: string; chatId: string; after: string }): Read;
  chatsWith(person: { accountId: string; attendeeId: string }): Read;
  post(post: { accountId: string; postId: string }): Read;
  /** Who the account is at its network; null where its posts are asked for without knowing that. */
  self(account: { accountId: string }): Read | null;
  /** `userId` is null where `self` is. */
  posts(user: { accountId: string; userId: string | null }): Read;
}

/** One part of a path. */
export const part = encodeURIComponent;
