import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type NpyArray, NpzError, readNpz, writeNpz } from '../../../src/gateway/repository/npz-archive.ts';
import { floatRows, npy, npz, zip } from '../../support/npz.ts';

/** numpy 2: `savez(file, **{'input.x': float32 [[1.5, -2], [3, 4]], 'output.y': int64 [1, 2]})`. */
const SAVED = [
  'UEsDBC0AAAAAAAAAIQDwDMxS//////////8LABQAaW5wdXQueC5ucHkBABAAkAAAAAAAAACQAAAAAAAAAJNOVU1QWQEAdgB7J2Rlc2NyJzogJzxm',
  'NCcsICdmb3J0cmFuX29yZGVyJzogRmFsc2UsICdzaGFwZSc6ICgyLCAyKSwgfSAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg',
  'ICAgICAgICAgICAgICAgICAgICAKAADAPwAAAMAAAEBAAACAQFBLAwQtAAAAAAAAACEADPwc6f//////////DAAUAG91dHB1dC55Lm5weQEAEACQ',
  'AAAAAAAAAJAAAAAAAAAAk05VTVBZAQB2AHsnZGVzY3InOiAnPGk4JywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDIsKSwgfSAg',
  'ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoBAAAAAAAAAAIAAAAAAAAAUEsBAi0DLQAA',
  'AAAAAAAhAPAMzFKQAAAAkAAAAAsAAAAAAAAAAAAAAIABAAAAAGlucHV0LngubnB5UEsBAi0DLQAAAAAAAAAhAAz8HOmQAAAAkAAAAAwAAAAAAAAA',
  'AAAAAIABzQAAAG91dHB1dC55Lm5weVBLBQYAAAAAAgACAHMAAACbAQAAAAA=',
].join('');
/** The same of `savez_compressed`. */
const COMPRESSED = [
  'UEsDBC0AAAAIAAAAIQDwDMxS//////////8LABQAaW5wdXQueC5ucHkBABAAkAAAAAAAAABVAAAAAAAAAJvsF+obEMnIUMZQrZ6SWpxcpG6loG6T',
  'ZqKuo6Cell9UUpSYF59flJIKEndLzClOBYoXZyQWpAL5GkY6CkaaOgq1CmQDLgaGA/YMQIKBwcGBgaHBAQBQSwMELQAAAAgAAAAhAAz8HOn/////',
  '/////wwAFABvdXRwdXQueS5ucHkBABAAkAAAAAAAAABKAAAAAAAAAJvsF+obEMnIUMZQrZ6SWpxcpG6loG6TaaGuo6Cell9UUpSYF59flJIKEndL',
  'zClOBYoXZyQWpAL5GkY6mjoKtQoUAC5GBghggtIAUEsBAi0DLQAAAAgAAAAhAPAMzFJVAAAAkAAAAAsAAAAAAAAAAAAAAIABAAAAAGlucHV0Lngu',
  'bnB5UEsBAi0DLQAAAAgAAAAhAAz8HOlKAAAAkAAAAAwAAAAAAAAAAAAAAIABkgAAAG91dHB1dC55Lm5weVBLBQYAAAAAAgACAHMAAAAaAQAAAAA=',
].join('');

describe('an archive of numpy', () => {
  test.each([
    { how: 'savez', text: SAVED },
    { how: 'savez_compressed', text: COMPRESSED },
  ])('is read: $how', async ({ text }) => {
    const arrays = await readNpz(Buffer.from(text, 'base64'));
    expect([...arrays.keys()]).toEqual(['input.x', 'output.y']);
    const x = arrays.get('input.x');
    expect(x).toMatchObject({ datatype: 'FP32', shape: [2, 2] });
    expect([0, 4, 8, 12].map((at) => Buffer.from(x?.data ?? []).readFloatLE(at))).toEqual([1.5, -2, 3, 4]);
    const y = arrays.get('output.y');
    expect(y).toMatchObject({ datatype: 'INT64', shape: [2] });
    expect([0, 8].map((at) => Buffer.from(y?.data ?? []).readBigInt64LE(at))).toEqual([1n, 2n]);
  });

  const one = floatRows([[1, 2]]);
  test.each([
    { what: 'nothing', bytes: Buffer.alloc(0), text: /no zip archive/ },
    { what: 'something else', bytes: Buffer.alloc(1_000, 'PK'), text: /no zip archive/ },
    {
      what: 'text as an array',
      bytes: zip({ 'input.x.npy': Buffer.from('a text') }),
      text: /input\.x\.npy is no array/,
    },
    { what: 'objects', bytes: npz({ x: { ...one, description: '|O' } }), text: /type '\|O': expected one of/ },
    { what: 'the other byte order', bytes: npz({ x: { ...one, description: '>f4' } }), text: /type '>f4'/ },
    { what: 'too few elements', bytes: npz({ x: { ...one, shape: [3, 2] } }), text: /should have 24 bytes, got 8/ },
    {
      what: 'Fortran order',
      bytes: zip({ x: Buffer.from(npy(one).toString('latin1').replace('False,', 'True, '), 'latin1') }),
      text: /Fortran order/,
    },
  ])('is refused, with the reason: $what', async ({ bytes, text }) => {
    await expect(readNpz(bytes)).rejects.toThrow(NpzError);
    await expect(readNpz(bytes)).rejects.toThrow(text);
  });

  test('that is damaged anywhere is read or refused, and nothing else happens', async () => {
    const whole = Buffer.from(COMPRESSED, 'base64');
    await fc.assert(
      fc.asyncProperty(
        fc.nat(whole.byteLength - 1),
        fc.integer({ min: 1, max: 255 }),
        fc.boolean(),
        async (at, change, isCut) => {
          const damaged = Buffer.from(isCut ? whole.subarray(0, at) : whole);
          if (!isCut) damaged[at] = (damaged[at] ?? 0) ^ change;
          try {
            await readNpz(damaged);
          } catch (error) {
            expect(error).toBeInstanceOf(NpzError);
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });
});

describe('an archive of ours', () => {
  const arrays = fc.dictionary(
    fc.stringMatching(/^[a-z.]{1,12}$/),
    fc
      .record({
        datatype: fc.constantFrom('FP32' as const, 'UINT8' as const, 'INT64' as const, 'BOOL' as const),
        shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }),
      })
      .chain(({ datatype, shape }) => {
        const size =
          { FP32: 4, UINT8: 1, INT64: 8, BOOL: 1 }[datatype] * shape.reduce((product, each) => product * each, 1);
        return fc.uint8Array({ minLength: size, maxLength: size }).map((data): NpyArray => ({ datatype, shape, data }));
      }),
  );

  test('is read as it was written, and is the same each time', async () => {
    await fc.assert(
      fc.asyncProperty(arrays, async (named) => {
        const written = await writeNpz(new Map(Object.entries(named)));
        const read = await readNpz(written);
        expect([...read.keys()]).toEqual(Object.keys(named));
        for (const [name, { datatype, shape, data }] of Object.entries(named)) {
          expect(read.get(name)).toMatchObject({ datatype, shape });
          expect(Buffer.compare(read.get(name)?.data ?? Buffer.of(1), data)).toBe(0);
        }
        expect((await writeNpz(new Map(Object.entries(named)))).equals(written)).toBe(true);
      }),
    );
  });

  test('holds no texts', async () => {
    const texts = new Map<string, NpyArray>([['x', { datatype: 'BYTES', shape: [1], data: new Uint8Array(4) }]]);
    await expect(writeNpz(texts)).rejects.toThrow('numpy has no BYTES');
  });
});
