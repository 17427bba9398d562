/** Files of a worker share the modules that they mock, so the mocks of `next/headers` must share the headers too. */
const shared = globalThis as typeof globalThis & { pageHeaders?: Headers };

/** Sets the headers of the request that a page or a Server Function answers. */
export function setPageHeaders(headers: Record<string, string>): void {
  shared.pageHeaders = new Headers(headers);
}

/** For `vi.mock('next/headers', …)`. */
export const nextHeaders = { headers: async () => shared.pageHeaders ?? new Headers() };

/**
 * For `vi.mock('next/navigation', …)`: Next's own module, with a router. Files of a worker share what they mock, so all of them mock it in this way.
 */
export const nextNavigation = async (original: () => Promise<object>) => ({
  ...(await original()),
  useRouter: () => ({ refresh() {} }),
});
