/** What the last order for a model could not load. */
export interface LoadFailures {
  /** Why no version could be tried; empty where one was. */
  readonly problem: string;
  /** Versions that do not serve, and why. */
  readonly versions: ReadonlyMap<string, string>;
}
