import { readdirSync, readFileSync } from 'node:fs';
import { punctual } from '../punctual.ts';
import { durationFaults } from './duration-faults.ts';

const { functions = {} } = JSON.parse(readFileSync('vercel.json', 'utf8'));
const routes = readdirSync('app', { recursive: true, encoding: 'utf8' })
  .filter((file) => /(^|[\\/])route\.ts$/.test(file))
  .map((file) => `app/${file.replaceAll('\\', '/')}`)
  .map((file) => ({ file, source: readFileSync(file, 'utf8') }));

const faults = [...durationFaults(functions, routes), ...punctual.queues.flatMap(({ fault }) => fault ?? [])];
for (const fault of faults) console.error(fault);
process.exit(faults.length === 0 ? 0 : 1);
