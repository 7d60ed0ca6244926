"""What the judges of Triton's Python clients have in common. `told` is what they print, as one JSON object."""

import ml_dtypes
import numpy as np
from tritonclient.utils import InferenceServerException

told = {}

"""Values of every datatype, the extremes of it among them."""
ARRAYS = {
    "BOOL": np.array([[True, False, False, True]]),
    "UINT8": np.array([[0, 1, 254, 255]], np.uint8),
    "UINT16": np.array([[0, 1, 2, 2**16 - 1]], np.uint16),
    "UINT32": np.array([[0, 1, 2, 2**32 - 1]], np.uint32),
    "UINT64": np.array([[0, 1, 2**53 + 1, 2**64 - 1]], np.uint64),
    "INT8": np.array([[-128, -1, 0, 127]], np.int8),
    "INT16": np.array([[-(2**15), -1, 0, 2**15 - 1]], np.int16),
    "INT32": np.array([[-(2**31), -1, 0, 2**31 - 1]], np.int32),
    "INT64": np.array([[-(2**63), -1, 2**53 + 1, 2**63 - 1]], np.int64),
    "FP16": np.array([[-0.0, np.inf, np.nan, 6e-8]], np.float16),
    "FP32": np.array([[1.5, -0.0, np.nan, 3.4e38], [5e-45, np.inf, 2, 3]], np.float32),
    "FP64": np.array([[-0.0, np.inf, np.nan, 5e-324]], np.float64),
    "BF16": np.array([[-0.0, np.inf, np.nan, 1e-40], [1.0078125, -3e38, 2, 3]], ml_dtypes.bfloat16),
    "BYTES": np.array([["", "a", "Zürich", "\U0001f600"]], dtype=object),
}


def judge(case):
    """Keeps what `case` returns under its name."""
    told[case.__name__] = case()
    return case


def make_input(module, name, array, datatype, **options):
    """Of tritonclient.grpc or tritonclient.http, which is `module`."""
    tensor = module.InferInput(name, list(array.shape), datatype)
    tensor.set_data_from_numpy(array, **options)
    return tensor


def failure_of(call):
    try:
        call()
    except InferenceServerException as error:
        return {"status": error.status(), "message": error.message()}
    return None


def same(sent, received):
    """Bit by bit, and of the same shape and type. Texts come as bytes, or out of JSON as texts."""
    if sent.dtype == object:
        texts = [element.decode() if isinstance(element, bytes) else element for element in received.flatten()]
        return sent.shape == received.shape and list(sent.flatten()) == texts
    return bool(sent.dtype == received.dtype and sent.shape == received.shape and sent.tobytes() == received.tobytes())
