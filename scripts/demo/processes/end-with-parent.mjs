// The demo's child processes load this first. When the demo dies, even by SIGKILL, its channel to them closes, and they end as after SIGTERM.
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
