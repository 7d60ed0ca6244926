"""CIFAR-10 as arrays, decoded once from a zip or a folder of JPEGs.

What is decoded is kept in the layout of the data set's own binary version: records of 3,073 bytes, the label and then
a plane each of red, green and blue. `quantize.ts` and `evaluate.ts` read the same files.
"""

import os
import pathlib
import zipfile

import numpy as np
from PIL import Image

LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

RECORD_BYTES = 1 + 3 * 32 * 32


def load(source: pathlib.Path, split: str, records: pathlib.Path, per_class: int | None = None):
    """Reads `<split>/<class>/*.jpg` of `source`, at most `per_class` of each class, through the file `records`.

    Returns uint8 images [N,3,32,32], and int64 labels [N] that count in the order of `LABELS`.
    """
    if not records.exists():
        _decode(source, split, records, per_class)
    rows = np.fromfile(records, np.uint8).reshape(-1, RECORD_BYTES)
    return rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0].astype(np.int64)


def _decode(source: pathlib.Path, split: str, records: pathlib.Path, per_class: int | None) -> None:
    root = zipfile.Path(source) if source.suffix == ".zip" else source
    partial = records.with_suffix(".partial")
    with partial.open("wb") as out:
        for label, name in enumerate(LABELS):
            folder = root / split / name
            files = sorted(folder.iterdir(), key=lambda file: file.name) if folder.is_dir() else []
            files = [file for file in files if file.name.endswith(".jpg")][:per_class]
            if not files:
                raise SystemExit(f"{source}: no {split}/{name}/*.jpg in it")
            for file in files:
                out.write(bytes([label]))
                out.write(_planes(file).tobytes())
    os.replace(partial, records)


def _planes(file) -> np.ndarray:
    with file.open("rb") as stream:
        image = Image.open(stream).convert("RGB")
    if image.size != (32, 32):
        raise SystemExit(f"{file}: {image.width} x {image.height} pixels, expected 32 x 32")
    return np.asarray(image).transpose(2, 0, 1)
