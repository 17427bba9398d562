import { answerSql } from '@/lib/operate/sql-route';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

/** SQL on the embedded database, in development: see `answerSql`. */
export const POST = answerSql;
