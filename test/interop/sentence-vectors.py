"""Reference vectors of all-MiniLM-L6-v2, without the server.

python sentence-vectors.py FOLDER [MODEL] < texts.json > vectors.json
With MODEL, an ONNX file, ONNX Runtime runs it. Without it, numpy computes the model from the weights in FOLDER, in float64.
"""

import json
import math
import sys

import numpy as np
from tokenizers import Tokenizer

LAYERS, HEADS, MAX_LENGTH = 6, 12, 256


def from_onnx(model):
    import onnxruntime

    session = onnxruntime.InferenceSession(model)

    def states(ids):
        row = np.array([ids], np.int64)
        return session.run(
            None, {"input_ids": row, "attention_mask": np.ones_like(row), "token_type_ids": np.zeros_like(row)}
        )[0][0]

    return states


def from_weights(file):
    from safetensors.numpy import load_file

    weights = {name.removeprefix("bert."): value.astype(np.float64) for name, value in load_file(file).items()}
    erf = np.vectorize(math.erf)

    def norm(x, name):
        scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def linear(x, name):
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def attention(x, layer):
        length, width = x.shape
        size = width // HEADS
        query, key, value = (
            linear(x, f"{layer}.attention.self.{part}").reshape(length, HEADS, size).transpose(1, 0, 2)
            for part in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 2, 1) / math.sqrt(size)
        powers = np.exp(scores - scores.max(-1, keepdims=True))
        return (powers / powers.sum(-1, keepdims=True) @ value).transpose(1, 0, 2).reshape(length, width)

    def states(ids):
        x = weights["embeddings.word_embeddings.weight"][ids]
        x = x + weights["embeddings.position_embeddings.weight"][: len(ids)]
        x = norm(x + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        for number in range(LAYERS):
            layer = f"encoder.layer.{number}"
            x = norm(linear(attention(x, layer), f"{layer}.attention.output.dense") + x, f"{layer}.attention.output.LayerNorm")
            hidden = linear(x, f"{layer}.intermediate.dense")
            hidden = hidden * 0.5 * (1 + erf(hidden / math.sqrt(2)))
            x = norm(linear(hidden, f"{layer}.output.dense") + x, f"{layer}.output.LayerNorm")
        return x

    return states


def main(folder, model=None):
    tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_LENGTH)
    states = from_weights(f"{folder}/model.safetensors") if model is None else from_onnx(model)
    vectors = []
    for text in json.load(sys.stdin):
        mean = states(tokenizer.encode(text).ids).mean(0)
        vectors.append((mean / np.linalg.norm(mean)).tolist())
    json.dump(vectors, sys.stdout)


main(*sys.argv[1:])
