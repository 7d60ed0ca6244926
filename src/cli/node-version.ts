/**
 * Whether Node `version` (`24.21.0`) is in `range`, the `engines` of package.json: `^22.15.0 || ^24.0.0`, that is, one of
 * these majors, at least that old.
 */
export function isSupportedNode(version: string, range: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number.parseFloat);
  return range.split('||').some((clause) => {
    const [wantedMajor, minMinor = 0, minPatch = 0] = clause.replace('^', '').trim().split('.').map(Number);
    return major === wantedMajor && (minor > minMinor || (minor === minMinor && patch >= minPatch));
  });
}
