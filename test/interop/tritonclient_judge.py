"""Asks a server everything that Triton's Python client can ask over gRPC, and prints what it was told, as one JSON object.

usage: tritonclient_judge.py HOST:PORT
Models: seq (OUT is the running sum of a sequence's IN), echo and echo_<datatype> (of that datatype, FP32 for echo, [-1,4]), half (FP16 [-1,4] -> [-1,3]), loop.
"""

import asyncio
import json
import queue
import sys
from functools import partial

import judging
import numpy as np
import tritonclient.grpc as grpc
import tritonclient.grpc.aio as aio
from judging import ARRAYS, failure_of, judge, same, told

url = sys.argv[1]
client = grpc.InferenceServerClient(url)
make_input = partial(judging.make_input, grpc)
floats = ARRAYS["FP32"]


@judge
def live_and_ready():
    return [client.is_server_live(), client.is_server_ready(), client.is_model_ready("echo"), client.is_model_ready("nope")]


@judge
def server_metadata():
    return client.get_server_metadata(as_json=True)


@judge
def model_metadata():
    return client.get_model_metadata("echo", as_json=True)


@judge
def model_config():
    return client.get_model_config("echo", as_json=True)["config"]


@judge
def fp32():
    result = client.infer("echo", [make_input("input", floats, "FP32")], request_id="p1")
    response = result.get_response()
    return {"same": same(floats, result.as_numpy("output")), "id": response.id, "version": response.model_version}


@judge
def every_datatype():
    def echoes(datatype, array):
        result = client.infer(f"echo_{datatype}", [make_input("input", array, datatype)])
        return same(array, result.as_numpy("output"))

    return {datatype: echoes(datatype, array) for datatype, array in ARRAYS.items()}


@judge
def fp16():
    result = client.infer("half", [make_input("input", np.zeros((2, 4), np.float16), "FP16")])
    output = result.as_numpy("output")
    return {"dtype": str(output.dtype), "shape": list(output.shape), "zero": bool((output == 0).all())}


@judge
def requested_output_with_classes():
    outputs = [grpc.InferRequestedOutput("output", class_count=2)]
    ranked = np.array([[3, 1, 2, 0]], np.float32)
    result = client.infer("echo", [make_input("input", ranked, "FP32")], outputs=outputs)
    return [element.decode() for element in result.as_numpy("output").flatten()]


@judge
def parameters():
    options = {"priority": 1, "timeout": 30_000_000, "sequence_id": 5, "sequence_start": True, "parameters": {"own": "x"}}
    return same(floats, client.infer("echo", [make_input("input", floats, "FP32")], **options).as_numpy("output"))


@judge
def compressed():
    results = {}
    for algorithm in ["gzip", "deflate"]:
        result = client.infer("echo", [make_input("input", floats, "FP32")], compression_algorithm=algorithm)
        results[algorithm] = same(floats, result.as_numpy("output"))
    return results


@judge
def callbacks():
    """async_infer: each callback gets the answer to its own request."""
    answers = queue.Queue()
    for number in range(50):
        array = np.full((1, 4), number, np.float32)
        client.async_infer(
            "echo",
            [make_input("input", array, "FP32")],
            callback=lambda result, error: answers.put((result, error)),
            request_id=str(number),
        )
    right = 0
    for _ in range(50):
        result, error = answers.get(timeout=30)
        right += error is None and bool((result.as_numpy("output") == int(result.get_response().id)).all())
    return right


@judge
def coroutines():
    async def infer_all():
        async with aio.InferenceServerClient(url) as async_client:
            arrays = [np.full((1, 4), number, np.float32) for number in range(50)]
            calls = [async_client.infer("echo", [make_input("input", array, "FP32")]) for array in arrays]
            results = await asyncio.gather(*calls)
            return sum(same(array, result.as_numpy("output")) for array, result in zip(arrays, results))

    return asyncio.run(infer_all())


@judge
def stream():
    """Answers of a stream in their order, the failed one among them."""
    answers = queue.Queue()
    client.start_stream(callback=lambda result, error: answers.put((result, error)))
    rows = [make_input("input", floats, "FP32")]
    for request_id, model in [("1", "echo"), ("2", "nope"), ("3", "echo")]:
        client.async_stream_infer(model, rows, request_id=request_id, enable_empty_final_response=True)
    got = [answers.get(timeout=30) for _ in range(3)]
    client.stop_stream()
    described = []
    for result, error in got:
        if error is not None:
            described.append({"error": error.message()})
            continue
        response = result.get_response()
        final = response.parameters["triton_final_response"].bool_param
        described.append({"id": response.id, "final": final, "same": same(floats, result.as_numpy("output"))})
    return described


@judge
def decoupled():
    """Any number of answers to each request of a stream; the last one is empty, and only for who asks for it."""
    answers = queue.Queue()
    client.start_stream(callback=lambda result, error: answers.put((result, error)))
    for request_id, count, with_end in [("three", 3, True), ("none", 0, True), ("two", 2, False), ("end", 0, True)]:
        inputs = [make_input("IN", np.array([count], np.int32), "INT32")]
        client.async_stream_infer("repeat", inputs, request_id=request_id, enable_empty_final_response=with_end)
    described = []
    while not described or described[-1]["id"] != "end":
        result, error = answers.get(timeout=30)
        if error is not None:
            return error.message()
        response = result.get_response()
        final = response.parameters["triton_final_response"].bool_param
        value = result.as_numpy("OUT")
        described.append({"id": response.id, "final": final, "value": None if value is None else int(value[0])})
    client.stop_stream()
    return described


@judge
def sequences():
    """Two whose requests alternate, one with a number and one with a text for its name; then one in a stream."""

    def value_of(number):
        return [make_input("IN", np.array([[number]], np.int32), "INT32")]

    def add(sequence, number, **flags):
        return int(client.infer("seq", value_of(number), sequence_id=sequence, **flags).as_numpy("OUT")[0][0])

    sums = [add(7, 1, sequence_start=True), add("abc", 10, sequence_start=True), add(7, 2), add("abc", 20)]
    sums += [add(7, 3, sequence_end=True), add("abc", 30, sequence_end=True)]
    answers = queue.Queue()
    client.start_stream(callback=lambda result, error: answers.put((result, error)))
    for number in [1, 2, 3]:
        flags = {"sequence_start": number == 1, "sequence_end": number == 3}
        client.async_stream_infer("seq", value_of(number), sequence_id=8, **flags)
    streamed = [int(answers.get(timeout=30)[0].as_numpy("OUT")[0][0]) for _ in range(3)]
    client.stop_stream()
    return {"sums": sums, "streamed": streamed, "after its end": failure_of(lambda: add(7, 4))}


@judge
def failures():
    rows = [make_input("input", floats, "FP32")]
    wide = [make_input("input", np.zeros((1, 5), np.float32), "FP32")]
    integers = [make_input("input", np.zeros((1, 4), np.int32), "INT32")]
    slow = [
        make_input("iterations", np.array([[200_000]], np.int64), "INT64"),
        make_input("input", np.zeros((1, 1), np.float32), "FP32"),
    ]
    return {
        "unknown model": failure_of(lambda: client.infer("nope", rows)),
        "unknown version": failure_of(lambda: client.infer("echo", rows, model_version="9")),
        "shape": failure_of(lambda: client.infer("echo", wide)),
        "datatype": failure_of(lambda: client.infer("echo", integers)),
        "output": failure_of(lambda: client.infer("echo", rows, outputs=[grpc.InferRequestedOutput("nope")])),
        "deadline": failure_of(lambda: client.infer("loop", slow, client_timeout=0.3)),
        "load": failure_of(lambda: client.load_model("echo")),
        "unload": failure_of(lambda: client.unload_model("echo")),
        "shared memory": failure_of(lambda: client.register_system_shared_memory("r", "/r", 64)),
        "trace rate": failure_of(lambda: client.update_trace_settings(settings={"trace_rate": "x"})),
        "log format": failure_of(lambda: client.update_log_settings({"log_format": "xml"})),
    }


@judge
def repository():
    return client.get_model_repository_index(as_json=True)["models"]


@judge
def trace_settings():
    return client.get_trace_settings(as_json=True)["settings"]


@judge
def log_settings():
    """What it says before, after a change, and after that was taken back."""
    before = client.get_log_settings(as_json=True)["settings"]
    changed = client.update_log_settings({"log_verbose_level": 1}, as_json=True)["settings"]
    client.update_log_settings({"log_verbose_level": 0})
    after = client.get_log_settings(as_json=True)["settings"]
    return {"changed": changed["log_verbose_level"], "same": before == after}


@judge
def shared_memory():
    """Nothing is registered; to forget what is unknown is no failure."""
    client.unregister_system_shared_memory("unknown")
    client.unregister_system_shared_memory()
    client.unregister_cuda_shared_memory()
    return [client.get_system_shared_memory_status(as_json=True), client.get_cuda_shared_memory_status(as_json=True)]


@judge
def statistics():
    return client.get_inference_statistics("echo", as_json=True)["model_stats"]


client.close()
print(json.dumps(told))
