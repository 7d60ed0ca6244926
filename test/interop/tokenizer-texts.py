"""Made-up lists of token ids with the texts that the tokenizer in Rust gives them: without special tokens, and with them.

python tokenizer-texts.py TOKENIZER_JSON COUNT DIRECTORY
Writes a folder for each kind of decoder, with `tokenizer.json` and `texts.jsonl`. WORDPIECE is the file itself, the others are made up.
"""

import json
import os
import random
import shutil
import sys

from tokenizers import Tokenizer, decoders, models
from tokenizers.pre_tokenizers import ByteLevel

SPECIAL = ["<unk>", "<s>", "</s>"]
PIECES = ["\u2581the", "\u2581\u2581", "\u2581", "cat", "\u00e9", "s", "\u2581dog"]


def byte_level():
    characters = sorted(ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={each: at for at, each in enumerate(characters)}, merges=[]))
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens(["\u0120hey", "na\u00efve \u00e9"])
    return tokenizer


def byte_fallback():
    words = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), *PIECES]
    vocabulary = {each: at for at, each in enumerate(words)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], byte_fallback=True, unk_token="<unk>"))
    steps = [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(steps)
    return tokenizer


def metaspace(scheme):
    tokenizer = Tokenizer(models.Unigram([(each, 0.0) for each in [*SPECIAL, *PIECES]], unk_id=0))
    tokenizer.decoder = decoders.Metaspace(prepend_scheme=scheme)
    return tokenizer


def record(folder, tokenizer, count, source):
    special = [each for each, token in tokenizer.get_added_tokens_decoder().items() if token.special]
    size = tokenizer.get_vocab_size()
    with open(os.path.join(folder, "texts.jsonl"), "w", encoding="utf-8") as file:
        for _ in range(count):
            length = source.randint(1, 24)
            ids = [source.choice(special) if source.random() < 0.1 else source.randrange(size) for _ in range(length)]
            texts = [tokenizer.decode(ids, skip_special_tokens=skips) for skips in (True, False)]
            file.write(json.dumps([ids, *texts]) + "\n")


def main(path, count, directory):
    source = random.Random(7)
    made = {"ByteLevel": byte_level(), "ByteFallback": byte_fallback(), "Metaspace": metaspace("always"), "Metaspace-never": metaspace("never")}
    for name, tokenizer in {"WordPiece": None, **made}.items():
        folder = os.path.join(directory, name)
        os.makedirs(folder)
        file = os.path.join(folder, "tokenizer.json")
        if tokenizer is None:
            shutil.copy(path, file)
        else:
            tokenizer.add_special_tokens(SPECIAL)
            tokenizer.save(file)
        record(folder, Tokenizer.from_file(file), int(count), source)


main(*sys.argv[1:])
