export function renderRegistry(folder?: string): string;
export function listJobs(folder?: string): boolean;
export function watchJobs(folder?: string): () => void;
