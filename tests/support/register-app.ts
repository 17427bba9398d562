// Every route and page imports the app's queues and jobs.
import '../../punctual.ts';
