/** What a Dockerfile says of the process that its image starts. */

import fs from 'node:fs';

export interface ImageConfig {
  readonly env: Readonly<Record<string, string>>;
  /** `uid:gid`. */
  readonly user: string;
  readonly workingDirectory: string;
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  /** The images of each FROM, as written. */
  readonly bases: readonly string[];
}

/** Reads the last stage; the first word of a line is its instruction. */
export function readDockerfile(file: string): ImageConfig {
  const text = fs.readFileSync(file, 'utf8').replace(/^#.*$/gm, '').replace(/\\\n/g, ' ');
  const instructions = text.split('\n').flatMap((line) => {
    const [, name = '', rest = ''] = /^([A-Z]+)\s+(.*)$/.exec(line.trim()) ?? [];
    return name === '' ? [] : [{ name, rest }];
  });
  const last = instructions.findLastIndex(({ name }) => name === 'FROM');
  const stage = instructions.slice(last);
  const of = (name: string): string => stage.findLast((each) => each.name === name)?.rest ?? '';
  const env = stage.filter(({ name }) => name === 'ENV').flatMap(({ rest }) => rest.trim().split(/\s+/));
  return {
    env: Object.fromEntries(env.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)])),
    user: of('USER'),
    workingDirectory: of('WORKDIR'),
    entrypoint: JSON.parse(of('ENTRYPOINT')),
    command: JSON.parse(of('CMD')),
    bases: instructions.filter(({ name }) => name === 'FROM').map(({ rest }) => rest),
  };
}
