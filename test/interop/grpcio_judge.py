"""Calls every kind of method with grpcio, the C++ core of gRPC, and prints what it was told, as one JSON object.

usage: grpcio_judge.py HOST:PORT
The methods are those of grpcio.test.ts, whose messages are bytes.
"""

import asyncio
import json
import sys
import threading
import time

import grpc

target = sys.argv[1]
MIB = 2**20
OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
channel = grpc.insecure_channel(target, options=OPTIONS)
told = {}


def path(method):
    return f"/judge.Service/{method}"


def judge(case):
    """Keeps what `case` returns under its name."""
    told[case.__name__] = case()
    return case


def status_of(error):
    return [error.code().name, error.details()]


def failure_of(call):
    try:
        call()
    except grpc.RpcError as error:
        return status_of(error)
    return None


echo = channel.unary_unary(path("Echo"))
fail = channel.unary_unary(path("Fail"))
never = channel.unary_unary(path("Never"))
total = channel.stream_unary(path("Total"))
count = channel.unary_stream(path("Count"))
chat = channel.stream_stream(path("Chat"))
ends = channel.unary_unary(path("Ends"))


def how_it_ended(name):
    """What the server was told of the call of that name, once it was told."""
    for _ in range(200):
        reason = ends(name)
        if reason:
            return reason.decode()
        time.sleep(0.01)
    return None


@judge
def unary_of_every_size():
    sizes = [0, 1, 16_383, 16_384, 65_535, 65_536, MIB, 4 * MIB, 7 * MIB]
    return {str(size): echo(bytes([7]) * size, timeout=30) == bytes([7]) * size for size in sizes}


@judge
def too_large():
    return [failure_of(lambda: echo(bytes(8 * MIB + 1), timeout=30))[0], echo(b"after", timeout=30).decode()]


@judge
def every_status():
    codes = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]
    return [failure_of(lambda: fail(bytes([code.value[0]]) + f"größer 100 % {code.name}".encode(), timeout=30)) for code in codes]


@judge
def metadata():
    sent = [("x-text", "as it is"), ("x-bytes-bin", bytes(range(256))), ("x-many", "1"), ("x-many", "2"), ("x-many-bin", b"\0\1"), ("x-many-bin", b"\2")]
    _, call = echo.with_call(b"", metadata=sent, timeout=30)
    return {key: list(value) if isinstance(value, bytes) else value for key, value in call.trailing_metadata()}


@judge
def client_streaming():
    return int(total((bytes(index) for index in range(1_000)), timeout=30))


@judge
def large_client_streaming():
    return int(total((bytes(MIB) for _ in range(64)), timeout=60))


@judge
def server_streaming():
    return [len(message) for message in count(b"1000 100", timeout=30)] == [100] * 1_000


@judge
def slow_reader():
    sizes = []
    for message in count(b"40 1048576", timeout=60):
        sizes.append(len(message))
        echo(b"in between", timeout=30)
    return sizes == [MIB] * 40


@judge
def ping_pong():
    turn = threading.Semaphore(1)

    def requests():
        for index in range(500):
            turn.acquire()
            yield b"%d" % index

    answers = []
    for message in chat(requests(), timeout=60):
        answers.append(int(message))
        turn.release()
    return answers == list(range(500))


@judge
def empty_stream():
    return list(chat(iter([]), timeout=30))


@judge
def deadlines():
    unary = failure_of(lambda: never(b"deadline", timeout=0.2))[0]
    stream = failure_of(lambda: list(count(b"1000000 1000", timeout=0.2)))[0]
    return [unary, how_it_ended(b"deadline"), stream]


@judge
def cancellation():
    call = never.future(b"cancelled", timeout=30)
    while not ends(b"started cancelled"):
        time.sleep(0.01)
    call.cancel()
    stream = count(b"1000000 1000", timeout=30)
    next(stream)
    stream.cancel()
    return [call.code().name, how_it_ended(b"cancelled"), failure_of(lambda: list(stream))[0]]


@judge
def compression():
    message = bytes(4 * MIB)
    kinds = {"gzip": grpc.Compression.Gzip, "deflate": grpc.Compression.Deflate, "none": grpc.Compression.NoCompression}
    return {
        name: [
            echo(message, compression=kind, timeout=30) == message,
            int(total((bytes(100_000) for _ in range(30)), compression=kind, timeout=30)),
            list(chat(iter([b"small", message]), compression=kind, timeout=30)) == [b"small", message],
        ]
        for name, kind in kinds.items()
    }


@judge
def compressed_bomb():
    return failure_of(lambda: echo(bytes(9 * MIB), compression=grpc.Compression.Gzip, timeout=30))[0]


@judge
def many_at_a_time():
    sent = [b"%d" % index * 1_000 for index in range(500)]
    return [call.result() for call in [echo.future(message, timeout=60) for message in sent]] == sent


@judge
def unknown_method():
    return failure_of(lambda: channel.unary_unary(path("Nothing"))(b"", timeout=30))


@judge
def coroutines():
    async def ask():
        async with grpc.aio.insecure_channel(target, options=OPTIONS) as aio:
            sent = [b"%d" % index for index in range(200)]
            unary = aio.unary_unary(path("Echo"))
            answers = await asyncio.gather(*(unary(message, timeout=30) for message in sent))
            call = aio.stream_stream(path("Chat"))(timeout=30)
            streamed = []
            for message in sent:
                await call.write(message)
                streamed.append(await call.read())
            await call.done_writing()
            ended = await call.code()
            cancelled = aio.unary_unary(path("Never"))(b"cancelled by a coroutine", timeout=30)
            while not await aio.unary_unary(path("Ends"))(b"started cancelled by a coroutine"):
                await asyncio.sleep(0.01)
            cancelled.cancel()
            return [answers == sent, streamed == sent, ended.name, (await cancelled.code()).name]

    return [*asyncio.run(ask()), how_it_ended(b"cancelled by a coroutine")]


print(json.dumps(told))
