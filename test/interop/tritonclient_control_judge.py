"""Loads and unloads models with Triton's Python client, and prints what it was told, as one JSON object.

usage: tritonclient_control_judge.py grpc|http HOST:PORT MODEL.onnx, of a server that loads what it is told to
Models: echo (FP32 [-1,4]), broken. MODEL.onnx takes and gives what echo does.
"""

import json
import sys

import numpy as np
import tritonclient.grpc
import tritonclient.http
from judging import failure_of, judge, make_input, same, told

_, protocol, url, model_file = sys.argv
module = {"grpc": tritonclient.grpc, "http": tritonclient.http}[protocol]
client = module.InferenceServerClient(url)
row = np.array([[1, 2, 3, 4]], np.float32)


def index():
    options = {"as_json": True} if protocol == "grpc" else {}
    listed = client.get_model_repository_index(**options)
    models = listed.get("models", []) if protocol == "grpc" else listed
    return [[model["name"], model.get("version", ""), model.get("state", ""), model.get("reason", "")] for model in models]


def config(name):
    options = {"as_json": True} if protocol == "grpc" else {}
    answered = client.get_model_config(name, **options)
    return answered["config"] if protocol == "grpc" else answered


def infer(name, rows=1):
    array = np.repeat(row, rows, axis=0)
    result = client.infer(name, [make_input(module, "input", array, "FP32")])
    version = result.get_response().model_version if protocol == "grpc" else result.get_response()["model_version"]
    return {"same": same(array, result.as_numpy("output")), "version": version}


@judge
def before():
    return {"index": index(), "ready": client.is_model_ready("echo"), "infer": failure_of(lambda: infer("echo"))}


@judge
def loaded():
    client.load_model("echo")
    return {"index": index(), "ready": client.is_model_ready("echo"), "infer": infer("echo")}


@judge
def with_its_own_configuration():
    """What a client reads is what it may send, as Model Analyzer does. Protobuf's JSON has texts for integers of 64 bits."""
    before = config("echo")
    client.load_model("echo", config=json.dumps(before))
    after = config("echo")
    # Reports, in words.
    del before["parameters"], after["parameters"]
    return before == after


@judge
def with_another_configuration():
    client.load_model("echo", config=json.dumps({"max_batch_size": 3, "tensorgate": {"split": False}}))
    return {"max_batch_size": config("echo")["max_batch_size"], "infer": failure_of(lambda: infer("echo", rows=4))}


@judge
def from_a_request():
    """A model that is nowhere on disk."""
    with open(model_file, "rb") as file:
        content = file.read()
    client.load_model("fresh", config=json.dumps({"max_batch_size": 4}), files={"file:7/model.onnx": content})
    answered = infer("fresh")
    client.unload_model("fresh")
    return {"answered": answered, "afterwards": failure_of(lambda: infer("fresh"))}


@judge
def failures():
    return {
        "unknown": failure_of(lambda: client.load_model("nope")),
        "broken": failure_of(lambda: client.load_model("broken")),
        "configuration": failure_of(lambda: client.load_model("echo", config="{")),
    }


@judge
def unloaded():
    """The old one served on while others failed to load."""
    served = infer("echo", rows=2)
    client.unload_model("echo")
    return {"served": served, "ready": client.is_model_ready("echo"), "infer": failure_of(lambda: infer("echo"))}


client.close()
print(json.dumps(told))
