import axe from 'axe-core';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { playScene, TOKENS, until } from '../../bench/console/scene.ts';
import { shotsOf } from '../../bench/console/shots.ts';
import type { JournalEntry } from '../../src/core/journal-entry.ts';
import { RunFold } from '../../src/runtime/fold.ts';
import { openStage, type Stage } from './support.ts';

/** The page before the real stack: a server, two nodes, a worker, a gateway and a browser. */

const WAIT = { timeout: 60_000 };

interface Violation {
  id: string;
  impact: string;
  nodes: { html: string }[];
}

let stage: Stage;
let runs: Record<string, string>;

beforeAll(async () => {
  stage = await openStage();
  runs = await playScene(stage.scene);
}, 120_000);

afterAll(() => stage?.stop(), 60_000);

async function journalOf(run: string): Promise<JournalEntry[]> {
  const entries: JournalEntry[] = [];
  for await (const entry of stage.scene.operator.journal(run)) entries.push(entry);
  return entries;
}

const shownState = async (page: Page) =>
  (await page.locator('.scrub-told .state > span').allTextContents()).join('.').replaceAll(' ', '_');

describe('every view', () => {
  it('shows what it is for, asks nobody else, and has no serious accessibility fault', async () => {
    const { page, context, faults } = await stage.page();
    for (const { name, path, ready, prepare } of shotsOf(runs)) {
      await page.goto(`${stage.gateway.url}${path}`);
      await page
        .locator(ready)
        .first()
        .waitFor({ ...WAIT, state: 'attached' });
      await prepare?.(page);
      // The policy of the page lets no foreign script in: it is given to the page by the browser's own protocol.
      await page.evaluate(axe.source);
      const violations = (await page.evaluate('axe.run().then((result) => result.violations)')) as Violation[];
      const found = violations.map(
        ({ id, impact, nodes }) => `${impact} ${id}: ${nodes.map(({ html }) => html.slice(0, 200)).join(' | ')}`,
      );
      expect(
        found.filter((line) => /^(?:serious|critical)/.test(line)),
        name,
      ).toEqual([]);
    }
    expect(faults.filter((fault) => !fault.includes('404'))).toEqual([]);
    await context.close();
  }, 180_000);

  it('fits on 360 pixels', async () => {
    const { page, context } = await stage.page({ viewport: { width: 360, height: 780 } });
    for (const { name, path, ready } of shotsOf(runs)) {
      await page.goto(`${stage.gateway.url}${path}`);
      await page
        .locator(ready)
        .first()
        .waitFor({ ...WAIT, state: 'attached' });
      const wide = await page.evaluate('document.querySelector(".main").scrollWidth');
      expect(wide, name).toBeLessThanOrEqual(360);
    }
    await context.close();
  }, 90_000);
});

describe('a run', () => {
  it('is seen to move while it moves', async () => {
    const { page, context, faults } = await stage.page();
    const { run } = await stage.scene.client.submit({ input: { steps: 6, ms: 150 } }, 'stepper');
    await page.goto(`${stage.gateway.url}/runs/${run}`);
    await page.locator('.step[data-step="2"]').waitFor(WAIT);
    await page.locator('.run-title .tag', { hasText: 'completed' }).waitFor(WAIT);
    await page.locator('[data-state="completed.answered"].active').waitFor({ ...WAIT, state: 'attached' });
    expect(await page.locator('.step').count()).toBe(7);
    expect(faults).toEqual([]);
    await context.close();
  });

  it('is shown as soon as it is there', async () => {
    const { page, context } = await stage.page();
    const run = runs.done ?? '';
    const fault = { code: 'unknown_run', message: `there is no run ${run}, or it has not begun` };
    await page.route(`**/api/runs/${run}`, (route) => route.fulfill({ status: 404, json: fault }), { times: 1 });
    await page.goto(`${stage.gateway.url}/runs/${run}`);
    await page.locator('.empty-title', { hasText: 'There is no such run' }).waitFor(WAIT);
    await page.locator('.run-title .tag', { hasText: 'completed' }).waitFor(WAIT);
    await context.close();
  });

  it('shows at every entry the state that its journal tells', async () => {
    const run = runs.done ?? '';
    const entries = await journalOf(run);
    const fold = new RunFold();
    const told = entries.map((entry) => {
      fold.fold(entry);
      return fold.path;
    });
    fold.stop();
    const { page, context } = await stage.page();
    await page.goto(`${stage.gateway.url}/runs/${run}?n=0`);
    await page.locator('.scrub-told').waitFor(WAIT);
    const seen: string[] = [];
    const seenInChart: string[] = [];
    for (let n = 0; n < told.length; n++) {
      await page.locator('.scrub-told strong', { hasText: new RegExp(`^${n}$`) }).waitFor(WAIT);
      seen.push(await shownState(page));
      seenInChart.push((await page.locator('.cell.active').getAttribute('data-state')) ?? '');
      if (n < told.length - 1) await page.getByRole('button', { name: 'Next entry' }).click();
    }
    expect(seen).toEqual(told);
    expect(seenInChart).toEqual(told);
    expect(new URL(page.url()).searchParams.get('n')).toBe(String(told.length - 1));
    await context.close();
  });

  it('is opened at the moment that an address names, and jumps to where it failed', async () => {
    const { page, context } = await stage.page();
    await page.goto(`${stage.gateway.url}/runs/${runs.failed}?n=2&right=entry`);
    await page.locator('.scrub-told strong', { hasText: /^2$/ }).waitFor(WAIT);
    const entry = JSON.parse((await page.locator('#panel-right pre').textContent()) ?? '') as { n: number };
    expect(entry.n).toBe(2);
    await page.getByRole('button', { name: 'failure' }).click();
    await page.locator('.step.now .tone-bad').first().waitFor(WAIT);
    await context.close();
  });

  it('goes on when a person answers in the page, with their name in the journal', async () => {
    const { page, context } = await stage.page({ role: 'approver' });
    await page.goto(`${stage.gateway.url}/runs/${runs.person}`);
    await page.getByLabel('Answer').fill('Yes, refund it.');
    await page.getByLabel('Why').fill('the carrier confirms the loss');
    await page.getByRole('button', { name: 'Answer' }).click();
    await page.locator('[data-state="completed.answered"].active').waitFor({ ...WAIT, state: 'attached' });
    const resolved = (await journalOf(runs.person ?? ''))
      .flatMap(({ events }) => events)
      .find(({ type }) => type === 'resolved');
    expect(resolved).toMatchObject({
      by: 'a-approver (approver, console)',
      why: 'the carrier confirms the loss',
      result: 'Yes, refund it.',
    });
    await context.close();
  });

  it('stops when it is killed in the page, which wants the scope typed', async () => {
    const { page, context } = await stage.page();
    await page.goto(`${stage.gateway.url}/runs/${runs.executing}`);
    await page.getByRole('button', { name: 'Kill', exact: true }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel(/^Why/).fill('it holds a lock');
    const kill = dialog.getByRole('button', { name: 'Kill' });
    expect(await kill.isDisabled()).toBe(true);
    await dialog.getByLabel(/to confirm$/).fill(`run:${runs.executing}`);
    await kill.click();
    await page.locator('[data-state="failed.killed"].active').waitFor({ ...WAIT, state: 'attached' });
    const killed = (await journalOf(runs.executing ?? ''))
      .flatMap(({ events }) => events)
      .find(({ type }) => type === 'kill');
    expect(killed).toMatchObject({ by: 'olga (operator, console)', why: 'it holds a lock' });
    await context.close();
  });

  /** A run that waits for an approval, and a page that holds the key of `ada`. */
  async function deciding(amount: number) {
    const { run } = await stage.scene.client.submit({ input: { order: `B-${amount}`, amount } }, 'voucher-desk');
    await until(stage.scene.operator, run, 'waiting.approval');
    const { page, context, faults } = await stage.page({ role: 'approver' });
    await page.goto(`${stage.gateway.url}/approvals`);
    await page.getByLabel(/^Decisions are signed in this browser/).setInputFiles(stage.scene.keyFile);
    await page.getByText('You decide as ada').waitFor(WAIT);
    const request = page.locator('.approval', { hasText: `B-${amount}` });
    await request.waitFor(WAIT);
    return { run, page, context, faults, request };
  }
  const decisionsIn = async (run: string) =>
    (await journalOf(run)).flatMap(({ events }) => events).filter((event) => event.type === 'approval_decided');

  it('goes on when its call is approved in the page, signed there by the approver', async () => {
    const { run, page, context, faults, request } = await deciding(11);
    await request.getByRole('button', { name: 'Approve' }).click();
    await page.getByRole('log').getByText('approved: the call is made').waitFor(WAIT);
    await until(stage.scene.operator, run, 'completed');
    const [decided] = await decisionsIn(run);
    expect(decided).toMatchObject({ verdict: 'approved', by: 'ada' });
    expect(decided?.signed?.payload).toContain('"approver":"ada"');
    expect(faults).toEqual([]);
    await context.close();
  });

  it('gets the arguments that an approver puts in the place of its own', async () => {
    const { run, page, context, request } = await deciding(12);
    await request.getByRole('button', { name: 'Edit arguments' }).click();
    await request.getByLabel(/^Arguments to approve instead/).fill('{"order": "B-12", "amount": -1}');
    await request.getByRole('button', { name: 'Approve with these arguments' }).click();
    await request.getByRole('alert').waitFor(WAIT);
    await request.getByLabel(/^Arguments to approve instead/).fill('{"order": "B-12", "amount": 6}');
    await request.getByRole('button', { name: 'Approve with these arguments' }).click();
    await page.getByRole('log').getByText('approved: the call is made').waitFor(WAIT);
    await until(stage.scene.operator, run, 'completed');
    const done = (await journalOf(run)).flatMap(({ events }) => events).filter((event) => event.type === 'call_done');
    expect(done.at(-1)).toMatchObject({ result: { granted: 6 } });
    await context.close();
  });

  it('is told no, with the reason, once: the same word again, and any later one, is refused', async () => {
    const { run, page, context, request } = await deciding(13);
    expect(await request.getByRole('button', { name: 'Deny' }).isDisabled()).toBe(true);
    await request.getByLabel(/^Why/).fill('the parcel was on time');
    const sent = page.waitForRequest((one) => one.url().endsWith('/api/approvals/decide'));
    await request.getByRole('button', { name: 'Deny' }).click();
    await page.getByRole('log').getByText('denied').waitFor(WAIT);
    await request.waitFor({ ...WAIT, state: 'detached' });
    expect(await decisionsIn(run)).toMatchObject([{ verdict: 'denied', by: 'ada', why: 'the parcel was on time' }]);
    const word = await sent;
    const again = await context.request.post(word.url(), {
      headers: { 'x-proctor-csrf': (await word.allHeaders())['x-proctor-csrf'] ?? '' },
      data: word.postDataJSON(),
    });
    expect(again.status()).toBe(409);
    expect(await decisionsIn(run)).toHaveLength(1);
    await context.close();
  });

  it('shows viewers what waits without its secrets, and no key can be chosen', async () => {
    const { page, context } = await stage.page({ role: 'viewer' });
    await page.goto(`${stage.gateway.url}/approvals`);
    await page.locator('.approval').first().waitFor(WAIT);
    expect(await page.locator('input[type=file]').count()).toBe(0);
    expect(await page.getByRole('button', { name: 'Approve' }).count()).toBe(0);
    await context.close();
  });

  it('that no agent could do is claimed and answered in the page, and its submitter reads the answer', async () => {
    const { client, operator } = stage.scene;
    const { run } = await client.submit({ input: { machine: 'lathe', fault: 'hums' } }, 'estimator');
    await until(operator, run, 'failed');
    const { page, context, faults } = await stage.page({ role: 'approver' });
    await page.goto(`${stage.gateway.url}/queue/${run}`);
    await page.getByRole('button', { name: 'Claim it' }).click();
    await page.getByText('claimed by a-approver (approver, console)').first().waitFor(WAIT);
    await page.getByLabel(/^Your answer/).fill('A bearing: 240 EUR.');
    await page.getByRole('button', { name: 'Solved', exact: true }).click();
    await page.locator('.approval .tag', { hasText: 'done' }).waitFor(WAIT);
    expect(await client.personAnswer(run)).toMatchObject({
      by: 'a-approver (approver, console)',
      outcome: 'solved',
      answer: 'A bearing: 240 EUR.',
    });
    expect(faults).toEqual([]);
    await context.close();
  });

  it('that is not there says so', async () => {
    const { page, context } = await stage.page();
    await page.goto(`${stage.gateway.url}/runs/20200101-abc-1`);
    await page.getByText('There is no such run').waitFor(WAIT);
    await context.close();
  });
});

describe('the page', () => {
  it('loses nothing over a restart of the gateway, and by going to another one', async () => {
    const first = await stage.scene.console();
    const port = Number(new URL(first.url).port);
    const { page, context, faults } = await stage.page({ url: first.url });
    const { run } = await stage.scene.client.submit({ input: { steps: 14, ms: 300 } }, 'stepper');
    await page.goto(`${first.url}/runs/${run}`);
    await page.locator('.step[data-step="2"]').waitFor(WAIT);
    await first.stop();
    await page.getByText('The console is out of reach').waitFor(WAIT);
    const again = await stage.scene.console(port);
    await page.locator('.link-live').waitFor({ timeout: 20_000 });
    await page.locator('.run-title .tag', { hasText: 'completed' }).waitFor({ timeout: 20_000 });
    const shown = await page.evaluate(
      '[...document.querySelectorAll(".step")].map((step) => Number(step.dataset.step))',
    );
    expect(shown).toEqual(Array.from({ length: 15 }, (_, index) => index + 1));
    const strip = await page.locator('.scrub-strip i').count();
    expect(strip).toBe((await journalOf(run)).length);
    expect(faults.filter((fault) => !/Failed to load|ERR_/.test(fault))).toEqual([]);
    // The session is the same one, and so is what the other gateway shows.
    await page.goto(`${stage.gateway.url}/runs/${run}`);
    await page
      .locator('.scrub-strip i')
      .nth(strip - 1)
      .waitFor({ ...WAIT, state: 'attached' });
    expect(await page.locator('.scrub-strip i').count()).toBe(strip);
    await again.stop();
    await context.close();
  }, 90_000);

  it('keeps hostile texts of tasks, tools and models as texts', async () => {
    const evil = '<img src=x onerror="window.hacked=1"><script>window.hacked=2</script>{{7*7}}javascript:alert(1)"\'';
    const { run } = await stage.scene.client.submit(
      { input: { file: evil, question: evil }, session_id: evil.slice(0, 100) },
      'log-analyst',
    );
    await stage.scene.client.result(run, { wait: true });
    const { page, context, faults } = await stage.page();
    for (const query of ['', '?left=sequence', '?left=events&right=task', '?right=entry&n=2']) {
      await page.goto(`${stage.gateway.url}/runs/${run}${query}`);
      await page
        .locator('.node.active')
        .first()
        .waitFor({ ...WAIT, state: 'attached' });
      await page
        .locator('#panel-left :text("onerror")')
        .first()
        .waitFor({ ...WAIT, state: 'attached' });
      expect(await page.evaluate('window.hacked')).toBeUndefined();
      expect(await page.locator('#root img:not([src="/icon.svg"]), #root script').count()).toBe(0);
    }
    expect(faults).toEqual([]);
    await context.close();
  });

  it('shows viewers no button that they may not press', async () => {
    const { page, context } = await stage.page({ role: 'viewer' });
    await page.goto(`${stage.gateway.url}/runs/${runs.paused}`);
    await page
      .locator('.node.active')
      .first()
      .waitFor({ ...WAIT, state: 'attached' });
    expect(await page.locator('.run-orders').count()).toBe(0);
    await page.goto(`${stage.gateway.url}/switches`);
    await page.getByText('Switches are set by operators').waitFor(WAIT);
    await context.close();
  });

  it('logs in with a token, and out', async () => {
    const page = await stage.browser.newPage();
    await page.goto(stage.gateway.url);
    await page.getByLabel('Token').fill('not the token at all');
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('alert').waitFor(WAIT);
    await page.getByLabel('Token').fill(TOKENS.viewer);
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('heading', { name: 'Overview' }).waitFor(WAIT);
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.getByLabel('Token').waitFor(WAIT);
    await page.close();
  });

  it('finds runs by text and state, and follows a row to its run with the keyboard', async () => {
    const { page, context } = await stage.page();
    await page.goto(`${stage.gateway.url}/runs`);
    await page.getByRole('searchbox').fill('invoice-clerk');
    await page.getByRole('button', { name: /^failed/ }).click();
    const row = page.locator('.run-row', { hasText: 'broken-17' });
    await row.waitFor(WAIT);
    await expect.poll(() => page.locator('.run-row').count(), WAIT).toBe(4);
    await row.getByRole('link').focus();
    await page.keyboard.press('Enter');
    await page.locator('[data-state="failed.max_retries"].active').waitFor({ ...WAIT, state: 'attached' });
    await page.goBack();
    await row.waitFor(WAIT);
    await context.close();
  });
});
