/** The account of one version on its device: the time that it received, its latest run, and its request for the next one. */

/** The facts with which a version joins its device. */
export interface ShareOptions {
  /** Cores that one of its runs takes. */
  readonly cores: number;
  /** Its processes have a lower priority than others. */
  readonly background: boolean;
  /** Called when it may start a run that it was denied. It then starts one, or passes. */
  wake(): void;
}

export interface Account {
  readonly cores: number;
  readonly background: boolean;
  readonly wake: () => void;
  running: number;
  /** How long the run should take that it asked for, or its latest run. */
  predictedMs: number;
  neededAtMs: number;
  /** Its tag: milliseconds of a core that its runs have received; at least the virtual time when it was last idle. */
  servedMs: number;
  /** When its latest run ended. */
  activeMs: number;
  /** It runs nothing and asked for nothing when it last could. */
  isIdle: boolean;
  /** It was woken, and cores are kept for it until it starts a run or passes. */
  isCalled: boolean;
  /** It gave up a grant, since its latest run, so that versions that have just been given work could ask. */
  hasYielded: boolean;
}

/** @param cores of the device */
export function openAccount({ cores, background, wake }: ShareOptions, deviceCores: number): Account {
  return {
    cores: Number.isFinite(deviceCores) ? Math.min(cores, deviceCores) : 1,
    background,
    wake,
    running: 0,
    predictedMs: 0,
    neededAtMs: 0,
    servedMs: 0,
    activeMs: Number.NEGATIVE_INFINITY,
    isIdle: true,
    isCalled: false,
    hasYielded: false,
  };
}

/** Its outputs are of no use when its run has ended: others go first. */
export function isEarly({ neededAtMs, predictedMs }: Account, now: number): boolean {
  return now + predictedMs < neededAtMs;
}

/** A run that starts no later ends when its outputs are of use. */
export function latestStartMs({ neededAtMs, predictedMs }: Account): number {
  return neededAtMs - predictedMs;
}

/** DEV-5 */
export function isSeenBy(account: Account, other: Account): boolean {
  return !other.background || account.background;
}
