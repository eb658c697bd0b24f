/** For tests: gives what nobody caught while `work` ran; outside of this it ends the process that runs the tests. */
export async function uncaughtDuring(work: () => Promise<void>): Promise<readonly unknown[]> {
  const uncaught: unknown[] = [];
  const listeners = process.listeners('uncaughtException');
  const listen = (error: unknown) => uncaught.push(error);
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', listen);
  try {
    await work();
  } finally {
    process.off('uncaughtException', listen);
    for (const listener of listeners) process.on('uncaughtException', listener);
  }
  return uncaught;
}
