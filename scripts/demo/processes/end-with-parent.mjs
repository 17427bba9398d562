// Loaded by the demo's child processes before anything else: when the demo dies, even by SIGKILL, the channel to it
// breaks, and they end as if it had told them to.
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
