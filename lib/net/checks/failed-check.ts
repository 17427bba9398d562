import { networkCode } from '../network-error';
import { PRIVATE_ADDRESS } from '../public-address';

/** What is wrong with what was checked; the message is for a person. */
export class FailedCheckError extends Error {
  override readonly name = 'FailedCheckError';
}

/** Why a check failed, in words that give away nothing of what was sent. */
export function tellFailure(error: unknown): string {
  if (error instanceof FailedCheckError) return error.message;
  const code = networkCode(error);
  if (code === PRIVATE_ADDRESS) return (error as Error).message;
  if (code === null) return 'it could not be checked (unknown cause)';
  if (code in words) return words[code] as string;
  if (code.startsWith('HPE_')) return `it answered with something that is no HTTP (${code})`;
  if (/^(ERR_SSL_|ERR_TLS_)/.test(code)) return `no TLS connection came about (${code})`;
  return `it could not be reached (${code})`;
}

const words: Record<string, string> = {
  ENOTFOUND: 'its name does not exist (ENOTFOUND)',
  ENODATA: 'its name has no address (ENODATA)',
  EBADNAME: 'its name is not valid (EBADNAME)',
  ETIMEOUT: 'the servers of its name do not answer (ETIMEOUT)',
  ESERVFAIL: 'the servers of its name fail (ESERVFAIL)',
  EREFUSED: 'the servers of its name refuse to answer (EREFUSED)',
  ECONNREFUSED: 'the connection is refused (ECONNREFUSED)',
  ETIMEDOUT: 'no connection came about (ETIMEDOUT)',
  EHOSTUNREACH: 'there is no way to its host (EHOSTUNREACH)',
  ENETUNREACH: 'there is no way to its network (ENETUNREACH)',
  ECONNRESET: 'the connection was cut (ECONNRESET)',
  EPIPE: 'the connection was cut (EPIPE)',
  HPE_HEADER_OVERFLOW: 'the headers of its answer are longer than 16 KB',
  ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL: 'it speaks no HTTP/1.1',
  ERR_SSL_WRONG_VERSION_NUMBER: 'what answers speaks no TLS (ERR_SSL_WRONG_VERSION_NUMBER)',
};

/** Why a certificate is not trusted. `code` is OpenSSL's or Node's. */
export function tellCertificate(code: string, expiresAt: string | null): string {
  switch (code) {
    case 'CERT_HAS_EXPIRED':
      return `its certificate has expired${expiresAt === null ? '' : ` (${expiresAt.slice(0, 10)})`}`;
    case 'CERT_NOT_YET_VALID':
      return 'its certificate is not valid yet';
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return 'its certificate is for another name';
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
      return 'its certificate is self-signed';
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
      return 'its certificate comes from nobody who is trusted, or its chain is incomplete';
    default:
      return `its certificate is not valid (${code.slice(0, 60)})`;
  }
}
