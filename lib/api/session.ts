import { z } from 'zod';
import { signIn, signInInput, signOut, signOutByForm } from '../http/auth/sign-in.ts';
import { describeEndpoint } from '../http/describe-endpoint.ts';
import type { Endpoints } from './endpoints.ts';

const signedIn = z.object({
  signed_in: z.literal(true),
  name: z.string(),
  role: z.enum(['operator', 'viewer']),
});

export const endpoints = {
  'POST /session': describeEndpoint(signIn, {
    summary: 'Signs in to the dashboard: sets the cookie. The password decides the role.',
    access: 'none',
    body: signInInput,
    response: signedIn,
    errors: [401, 403, 429, 503],
  }),
  'DELETE /session': describeEndpoint(signOut, {
    summary: 'Signs out.',
    access: 'none',
    response: z.object({ signed_in: z.literal(false) }),
    errors: [403],
  }),
  'POST /session/end': describeEndpoint(signOutByForm, {
    summary: 'Signs out by a form, and redirects to the sign-in page.',
    access: 'none',
    response: z.undefined(),
    statuses: [303],
    errors: [403],
  }),
} satisfies Endpoints;
