/** Waits for a condition that nobody announces; throws when it does not come true in time. */
export async function until(condition: () => Promise<boolean> | boolean, deadlineMs = 15_000): Promise<void> {
  const deadline = Date.now() + deadlineMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`did not happen within ${deadlineMs / 1_000} s`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
