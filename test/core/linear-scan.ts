/** Free numbers found one by one: the reference of FreeBitmap, and what it is measured against. */
export class LinearScan {
  readonly free: Uint8Array;

  constructor(size: number) {
    this.free = new Uint8Array(size);
  }

  set(number: number, free: boolean): void {
    this.free[number] = Number(free);
  }

  /** The first run of `count` that a scan from below `end` downwards completes. */
  highest(end: number, count: number): number {
    let run = 0;
    for (let i = this.free.length - 1; i >= 0; i--) {
      run = this.free[i] ? run + 1 : 0;
      if (run >= count && i < end) return i;
    }
    return -1;
  }

  lowest(start: number, count: number): number {
    let run = 0;
    for (let i = start; i < this.free.length; i++) {
      run = this.free[i] ? run + 1 : 0;
      if (run >= count) return i - count + 1;
    }
    return -1;
  }
}
