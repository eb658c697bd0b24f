/** The lines of an answer as they arrive; heartbeats (empty lines) are left out. */
export async function* readLines(response: Response): AsyncIterable<string> {
  if (response.body === null) return;
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      const text = rest + (done ? decoder.decode() : decoder.decode(value, { stream: true }));
      const lines = text.split('\n');
      rest = done ? '' : (lines.pop() ?? '');
      for (const line of lines) if (line !== '') yield line;
      if (done) return;
    }
  } finally {
    // Whoever stops reading early also frees the connection; one that is broken already has nothing to free.
    await reader.cancel().catch(() => undefined);
  }
}
