// Prints why tests were skipped, then the line that ends every test run: "N passed, N failed[, N skipped]".
export default class LastLineReporter {
  onTestRunEnd(modules, errors) {
    const count = { passed: 0, failed: errors.length, skipped: 0 };
    const reasons = new Map();
    for (const module of modules) {
      const tests = [...module.children.allTests()];
      if (module.state() === 'failed' && !tests.some((test) => test.result().state === 'failed')) count.failed++;
      for (const test of tests) {
        const { state, note } = test.result();
        count[state === 'pending' ? 'skipped' : state]++;
        if (state === 'skipped')
          reasons.set(note ?? 'no reason given', (reasons.get(note ?? 'no reason given') ?? 0) + 1);
      }
    }
    this.line = `${count.passed} passed, ${count.failed} failed` + (count.skipped ? `, ${count.skipped} skipped` : '');
    this.skips = [...reasons].map(([note, n]) => `skipped ${n}: ${note}`);
    process.once('exit', () => {
      process.stdout.write([...this.skips, this.line].join('\n') + '\n');
    });
  }
}
