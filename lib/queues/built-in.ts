// The package's entry point `punctual/queues`: the queues that it brings. An app lists those that it uses in `definePunctual`.
export { dmQueue } from './dm-queue/queue.ts';
export { jobsQueue } from './jobs/queue.ts';
export { monitors } from './monitors/queue.ts';
export { messageQueue } from './pgmq/queue.ts';
export { posts } from './posts/queue.ts';
export { enrolments } from './sequences/queue.ts';
