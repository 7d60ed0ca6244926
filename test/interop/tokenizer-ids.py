"""Texts in many scripts with the ids that the tokenizer in Rust gives them, as JSON lines.

python tokenizer-ids.py TOKENIZER_JSON COUNT on|off OUTPUT
`off`: special tokens in texts are plain text.
"""

import json
import random
import sys

from tokenizers import Tokenizer

# First and last character of blocks of Unicode.
BLOCKS = [
    (0x20, 0x7E), (0xA0, 0xFF), (0x100, 0x24F), (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x4FF), (0x531, 0x58F), (0x591, 0x5F4),
    (0x600, 0x6FF), (0x900, 0x97F), (0x980, 0x9FE), (0xB82, 0xBFA), (0xE01, 0xE5B), (0x10A0, 0x10FF), (0x1100, 0x11FF),
    (0x1200, 0x137C), (0x1780, 0x17F9), (0x2000, 0x206F), (0x20A0, 0x23FF), (0x3041, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3),
    (0xFF01, 0xFFEE), (0x1F300, 0x1FAFF), (0x20000, 0x2A6DF), (0x01, 0x1F), (0x1D400, 0x1D7FF),
]
WORDS = (
    "the quick brown fox password reset Paris capital na\u00efve caf\u00e9 Stra\u00dfe \ufb01ne \u0391\u0398\u0397\u039d\u0391\u03a3 "
    "\u0130stanbul [SEP] [CLS] [MASK] [PAD] [UNK] [sep] don't 3.14 e-mail @user #tag http://a.b/c?d=1"
).split(" ")
SPACES = [" ", " ", " ", "  ", "\n", "\t", "\u00a0", "\u3000", "", "\u200d", "\ufe0f"]


def text(source):
    parts = []
    for _ in range(source.randint(0, 8)):
        if source.random() < 0.4:
            parts.append(source.choice(WORDS))
        else:
            low, high = source.choice(BLOCKS)
            parts.append("".join(chr(source.randint(low, high)) for _ in range(source.randint(1, 8))))
        parts.append(source.choice(SPACES))
    return "".join(parts)


def main(path, count, specials, output):
    tokenizer = Tokenizer.from_file(path)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = specials == "off"
    source = random.Random(7)
    texts = [text(source) for _ in range(int(count))]
    with open(output, "w", encoding="utf-8") as file:
        for each, encoding in zip(texts, tokenizer.encode_batch(texts)):
            file.write(json.dumps([each, encoding.ids]) + "\n")


main(*sys.argv[1:])
