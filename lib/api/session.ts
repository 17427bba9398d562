import { signIn, signOut, signOutByForm } from '../http/auth/sign-in.ts';
import type { Endpoints } from './endpoints.ts';

export const endpoints = {
  'POST /session': signIn,
  'DELETE /session': signOut,
  'POST /session/end': signOutByForm,
} satisfies Endpoints;
