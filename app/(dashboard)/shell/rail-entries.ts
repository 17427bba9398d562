export interface RailEntry {
  title: string;
  href: string;
  /** Only `Queues` lists pages of its own. */
  hasQueues?: boolean;
}

/** The entries of the rail, in order. A new page adds a line. */
export const railEntries: RailEntry[] = [
  { title: 'Today', href: '/' },
  { title: 'Queues', href: '/#queues', hasQueues: true },
  { title: 'Accounts', href: '/accounts' },
  { title: 'Actions', href: '/actions' },
  { title: 'Sequences', href: '/sequences' },
  { title: 'Posts', href: '/posts' },
  { title: 'Monitors', href: '/monitors' },
  { title: 'Schedules', href: '/schedules' },
  { title: 'Reports', href: '/reports' },
  { title: 'Activity', href: '/activity' },
];
