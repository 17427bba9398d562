import { stampBuild } from './demo/processes/build-stamp.ts';

// The demo uses this build, and builds again only after the sources have changed.
stampBuild(process.cwd());
