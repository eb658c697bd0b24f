/** One line of progress: rewritten in place for a person at a terminal, and now and then a line of its own elsewhere. */

export interface Progress {
  /** Shows the present state in place of the last one. */
  show(text: string): void;
  /** Prints a line for good. */
  print(text: string): void;
}

interface Output {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

const plainEveryMs = 2_000;

export function progressOn(output: Output, now: () => number): Progress {
  let width = 0;
  let shownAt = Number.NEGATIVE_INFINITY;
  const rewrite = (text: string) => {
    output.write(`\r${text.padEnd(width)}`);
    width = text.length;
  };
  return {
    show(text) {
      if (output.isTTY === true) return rewrite(text);
      if (now() - shownAt < plainEveryMs) return;
      shownAt = now();
      output.write(`${text}\n`);
    },
    print(text) {
      if (width > 0) output.write(`\r${' '.repeat(width)}\r`);
      width = 0;
      output.write(`${text}\n`);
    },
  };
}
