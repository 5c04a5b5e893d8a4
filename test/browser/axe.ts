import axe from 'axe-core';
import type { Page } from 'playwright-core';

/** What axe-core finds wrong with the page as it is now: rule, element and why, one line each. Needs JavaScript. */
export async function violationsOf(page: Page): Promise<readonly string[]> {
  // By the debugger, because the content policy of our pages lets nobody else put a script in.
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('Runtime.evaluate', { expression: axe.source });
  await devtools.detach();
  return await page.evaluate<string[]>(
    `axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) =>
      violations.flatMap(({ id, nodes }) =>
        nodes.map(({ target, failureSummary }) => id + ' ' + target + ': ' + failureSummary.replace(/\\s+/g, ' '))))`,
  );
}

/** How far the page is wider than its window, in CSS pixels (WCAG 1.4.10). */
export async function overflowOf(page: Page): Promise<number> {
  return await page.evaluate<number>('Math.max(0, document.documentElement.scrollWidth - innerWidth)');
}
