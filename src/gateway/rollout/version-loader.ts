/** The part of the lifecycle of models that rollouts use. */
export interface VersionLoader {
  /** Directories of the versions that a load of the model would serve, by version. */
  loadable(name: string): Promise<ReadonlyMap<string, string>>;
  loadNew(name: string): Promise<void>;
}
