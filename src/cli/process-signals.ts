/**
 * Calls back once when the process is asked to stop: by SIGTERM, by Ctrl-C, or because the process that started it with a
 * channel is gone, so that no orphan keeps a port and a data directory. A second Ctrl-C does not wait any longer.
 */
export function onStopRequest(callback: (reason: string) => void): void {
  let isAsked = false;
  const ask = (reason: string) => {
    if (isAsked) return;
    isAsked = true;
    callback(reason);
  };
  process.on('SIGTERM', () => ask('SIGTERM'));
  process.on('SIGINT', () => {
    if (isAsked) process.exit(130);
    ask('Ctrl-C');
  });
  process.on('SIGHUP', () => ask('its terminal was closed'));
  if (process.channel !== undefined)
    process.on('disconnect', () => ask('the process that started it is gone'));
}
