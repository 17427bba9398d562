interface NetworkError {
  code?: unknown;
  syscall?: unknown;
  errors?: unknown;
  cause?: unknown;
}

/** The first code in a chain of causes (`ECONNRESET`), or null. */
export function networkCode(error: unknown): string | null {
  const { code, cause } = (error ?? {}) as NetworkError;
  if (typeof code === 'string') return code;
  return cause ? networkCode(cause) : null;
}

// The TLS handshake ended over the certificate. Nothing else of TLS is listed: an alert can also come
// after the request.
const CERTIFICATE =
  /^(ERR_TLS_CERT_ALTNAME_INVALID|CERT_\w+|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_(GET_ISSUER_CERT(_LOCALLY)?|VERIFY_LEAF_SIGNATURE|GET_CRL\w*))$/;

/**
 * Whether an error that `fetch` threw proves that no request went out: the name did not resolve, no
 * connection came about, or the certificate was refused. A list of what is proven, so that an error
 * nobody foresaw counts as uncertain.
 */
export function provesNothingWasSent(error: unknown): boolean {
  const { code, syscall, errors, cause } = (error ?? {}) as NetworkError;
  // One error per address that was tried.
  if (Array.isArray(errors) && errors.length > 0) return errors.every(provesNothingWasSent);
  if (syscall === 'connect' || syscall === 'getaddrinfo') return true;
  if (typeof code === 'string' && (code === 'UND_ERR_CONNECT_TIMEOUT' || CERTIFICATE.test(code))) return true;
  return cause ? provesNothingWasSent(cause) : false;
}
