import { problem } from '@/lib/http/respond.ts';

/** Answers every path that has no route of its own. */
function notFound(request: Request): Response {
  const { pathname } = new URL(request.url);
  const message = `the API has no path ${pathname}: docs/api.md and the pages it links to name the paths`;
  return problem(404, 'not_found', message);
}

export { notFound as DELETE, notFound as GET, notFound as PATCH, notFound as POST, notFound as PUT };
