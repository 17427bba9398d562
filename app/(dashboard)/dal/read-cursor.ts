import { z } from 'zod';
import { pageQuery } from '@/lib/http/page.ts';

const cursorOnly = z.object({ cursor: pageQuery.cursor });

/** Reads the cursor of an address. One that is not valid is the first page. */
export function readCursor(cursor: string | undefined): z.output<typeof cursorOnly> {
  const parsed = cursorOnly.safeParse({ cursor });
  return parsed.success ? parsed.data : {};
}
