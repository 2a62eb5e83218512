import { Command } from 'commander';
import { startBrowser } from './console/browser.ts';
import { openScene, playScene } from './console/scene.ts';
import { takeShots } from './console/shots.ts';
import { progress } from './support/report.ts';

/** Pictures of every view of the console, over a cluster that is played for it. */

const { out } = new Command('shots')
  .option('--out <folder>', 'where the pictures go', 'shots')
  .parse()
  .opts<{ out: string }>();

const scene = await openScene();
try {
  // First, so that its figures have something to tell.
  const gateway = await scene.console();
  const runs = await playScene(scene);
  const browser = await startBrowser();
  progress(`${await takeShots(browser, gateway, runs, out)} pictures in ${out}`);
  await browser.close();
} finally {
  await scene.stop();
}
