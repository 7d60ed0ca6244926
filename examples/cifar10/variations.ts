/** Few photographs as many: each shifted by up to four pixels either way, and mirrored. What networks are trained on is made so, too. */

import fs from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';

const SIZE = 32;
const MAX_SHIFT = 4;

/** By how many pixels a photograph is shifted to the right and down, from -4 to 4. */
export type Shift = readonly [right: number, down: number];

/**
 * Writes each photograph of `source`, which are called `<class>-<number>.png`, shifted and mirrored, as `target/<class>/*.png`.
 * @returns the number of files.
 */
export async function writeVariations(source: string, target: string, shifts: readonly Shift[]): Promise<number> {
  const names = (await fs.readdir(source)).filter((name) => name.endsWith('.png'));
  let count = 0;
  for (const name of names) {
    const directory = path.join(target, name.replace(/-.*/, ''));
    await fs.mkdir(directory, { recursive: true });
    // The border is what lies inside it, mirrored.
    const border = {
      top: MAX_SHIFT,
      bottom: MAX_SHIFT,
      left: MAX_SHIFT,
      right: MAX_SHIFT,
      extendWith: 'mirror',
    } as const;
    const wide = await sharp(path.join(source, name)).extend(border).png().toBuffer();
    for (const [right, down] of shifts) {
      for (const isMirrored of [false, true]) {
        const cut = { left: MAX_SHIFT - right, top: MAX_SHIFT - down, width: SIZE, height: SIZE };
        const file = path.join(
          directory,
          `${path.parse(name).name}${isMirrored ? '-mirrored' : ''}${right},${down}.png`,
        );
        await sharp(await sharp(wide).extract(cut).png().toBuffer())
          .flop(isMirrored)
          .png()
          .toFile(file);
        count++;
      }
    }
  }
  return count;
}
