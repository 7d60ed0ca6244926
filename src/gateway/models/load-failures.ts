/** The failures of the last order to load a model. */
export interface LoadFailures {
  /** Why no version could be tried; empty where one was. */
  readonly problem: string;
  /** Versions that do not serve, and why. */
  readonly versions: ReadonlyMap<string, string>;
}
