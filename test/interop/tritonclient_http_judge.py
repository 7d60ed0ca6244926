"""Asks a server everything that Triton's Python client can ask over HTTP, and prints what it was told, as one JSON object.

usage: tritonclient_http_judge.py HOST:PORT
Models: echo and echo_<datatype> (of that datatype, FP32 for echo, [-1,4]).
"""

import json
import sys
from functools import partial

import judging
import numpy as np
import tritonclient.http as http
from judging import ARRAYS, failure_of, judge, same, told

client = http.InferenceServerClient(sys.argv[1], concurrency=8)
make_input = partial(judging.make_input, http)
floats = ARRAYS["FP32"]
finite = np.array([[1.5, -0.0, 3.25, 1e30]], np.float32)


@judge
def live_and_ready():
    return [client.is_server_live(), client.is_server_ready(), client.is_model_ready("echo"), client.is_model_ready("nope")]


@judge
def server_metadata():
    return client.get_server_metadata()


@judge
def model_metadata():
    return client.get_model_metadata("echo", "1")


@judge
def model_config():
    return client.get_model_config("echo")


@judge
def repository():
    return client.get_model_repository_index()


@judge
def binary():
    """Bytes in, bytes out, for every datatype."""

    def echoes(datatype, array):
        result = client.infer(f"echo_{datatype}", [make_input("input", array, datatype)])
        return same(array, result.as_numpy("output"))

    return {datatype: echoes(datatype, array) for datatype, array in ARRAYS.items()}


@judge
def numbers():
    """JSON in, JSON out, for every datatype that the client writes as JSON; NaN and infinities too."""
    outputs = [http.InferRequestedOutput("output", binary_data=False)]

    def echoes(datatype, array):
        tensor = make_input("input", array, datatype, binary_data=False)
        return same(array, client.infer(f"echo_{datatype}", [tensor], outputs=outputs).as_numpy("output"))

    return {datatype: echoes(datatype, array) for datatype, array in ARRAYS.items() if datatype not in ("FP16", "BF16")}


@judge
def bytes_to_numbers():
    outputs = [http.InferRequestedOutput("output", binary_data=False)]
    result = client.infer("echo", [make_input("input", finite, "FP32")], outputs=outputs, request_id="m1")
    response = result.get_response()
    return {"same": same(finite, result.as_numpy("output")), "id": response["id"], "version": response["model_version"]}


@judge
def classes():
    outputs = [http.InferRequestedOutput("output", class_count=2)]
    ranked = np.array([[3, 1, 2, 0]], np.float32)
    result = client.infer("echo", [make_input("input", ranked, "FP32")], outputs=outputs)
    return [element.decode() for element in result.as_numpy("output").flatten()]


@judge
def compressed():
    results = {}
    for algorithm in ["gzip", "deflate"]:
        options = {"request_compression_algorithm": algorithm, "response_compression_algorithm": algorithm}
        results[algorithm] = same(floats, client.infer("echo", [make_input("input", floats, "FP32")], **options).as_numpy("output"))
    return results


@judge
def parameters():
    options = {"priority": 1, "timeout": 30_000_000, "parameters": {"own": "x"}}
    return same(floats, client.infer("echo", [make_input("input", floats, "FP32")], **options).as_numpy("output"))


@judge
def at_a_time():
    """async_infer: each answer belongs to its own request."""
    arrays = [np.full((1, 4), number, np.float32) for number in range(50)]
    requests = [client.async_infer("echo", [make_input("input", array, "FP32")]) for array in arrays]
    return sum(same(array, request.get_result().as_numpy("output")) for array, request in zip(arrays, requests))


@judge
def failures():
    rows = [make_input("input", floats, "FP32")]
    wide = [make_input("input", np.zeros((1, 5), np.float32), "FP32")]
    integers = [make_input("input", np.zeros((1, 4), np.int32), "INT32")]
    return {
        "unknown model": failure_of(lambda: client.infer("nope", rows)),
        "unknown version": failure_of(lambda: client.infer("echo", rows, model_version="9")),
        "shape": failure_of(lambda: client.infer("echo", wide)),
        "datatype": failure_of(lambda: client.infer("echo", integers)),
        "output": failure_of(lambda: client.infer("echo", rows, outputs=[http.InferRequestedOutput("nope")])),
        "metadata": failure_of(lambda: client.get_model_metadata("nope")),
        "load": failure_of(lambda: client.load_model("echo")),
    }


@judge
def trace_settings():
    return client.get_trace_settings()


@judge
def log_settings():
    before = client.get_log_settings()
    changed = client.update_log_settings({"log_verbose_level": 1})
    client.update_log_settings({"log_verbose_level": 0})
    return {"changed": changed["log_verbose_level"], "same": before == client.get_log_settings()}


@judge
def shared_memory():
    client.unregister_system_shared_memory("unknown")
    client.unregister_system_shared_memory()
    return client.get_system_shared_memory_status()


@judge
def statistics():
    return client.get_inference_statistics("echo")["model_stats"]


client.close()
print(json.dumps(told))
