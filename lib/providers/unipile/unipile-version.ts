import type { z } from 'zod';
import type { ErrorReading } from '../../net/http.ts';
import type { MultipartFile } from '../../net/multipart.ts';

export interface Read {
  path: string;
  query?: Record<string, string>;
  /** Items per page. A list without it has no pages. */
  pageSize?: number;
}

export interface Write {
  path: string;
  fields: Record<string, unknown>;
}

export interface Page {
  items: unknown[];
  cursor: string | null;
  /** The number of items in all pages, if the API reports it. */
  total: number | null;
}

/** The differences between the versions of Unipile's API: paths, formats and error types. */
export interface UnipileVersion {
  /** The prefix of every path. */
  base: string;
  /** Whether the response comes from a cache. */
  isCopy(headers: Headers): boolean;
  body(
    fields: Record<string, unknown>,
    files: MultipartFile[],
  ): { contentType: string; body: string | Uint8Array<ArrayBuffer> };
  page: z.ZodType<Page>;
  /** The page that begins at `cursor`. */
  nextPage(read: Read, cursor: string): Read;
  /** Whether a page without a cursor is the last one, after `count` items in total. */
  isLast(page: Page, read: Read, count: number): boolean;
  /** Whether a `type` has the form of the API's error types. */
  isErrorType(type: string): boolean;
  codes: ReadonlyMap<string, ErrorReading>;
  /** False if the path names an account by an id that does not have this version's form. */
  isAccountPath(path: string): boolean;

  sendMessage(message: { accountId: string; chatId: string; text: string }): Write;
  startChat(message: { accountId: string; recipient: string; text: string }): Write;
  createPost(post: { accountId: string; text: string }): Write;
  messages(chat: { accountId: string; chatId: string; after: string }): Read;
  chatsWith(person: { accountId: string; attendeeId: string }): Read;
  post(post: { accountId: string; postId: string }): Read;
  /** The read of the account's own profile at its network; null if the API lists the account's posts without its user id. */
  self(account: { accountId: string }): Read | null;
  /** `userId` is null if `self` returns null. */
  posts(user: { accountId: string; userId: string | null }): Read;
}

/** Encodes one segment of a path. */
export const segment = encodeURIComponent;
