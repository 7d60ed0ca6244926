#!/usr/bin/env bash
# A caller of a gateway behind a mesh or a load balancer, by hand, with grpcurl: is it there, what does a photograph show, and
# how loaded is the replica that answered. grpcurl knows no service config: nothing here is tried again.
#
#   examples/mesh/client.sh localhost:8001 [-H 'x-canary: always' and other options of grpcurl]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
target=${1:-localhost:8001}
call=(grpcurl -plaintext -connect-timeout 2 -max-time 2 "${@:2}")

"${call[@]}" -d '{"service": "cifar10"}' "$target" grpc.health.v1.Health/Check

# -v prints the trailers, among them the load report. Bytes are Base64 in JSON.
"${call[@]}" -v -H 'endpoint-load-metrics-format: text' -d @ "$target" inference.GRPCInferenceService/ModelInfer <<END
{"model_name": "cifar10", "raw_input_contents": ["$(base64 -w0 "$here/ship-0160.rgb")"],
 "inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 3, 32, 32]}],
 "outputs": [{"name": "probabilities", "parameters": {"classification": {"int64_param": 3}}}]}
END
