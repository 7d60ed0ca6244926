#!/usr/bin/env bash
# Installs the outside tools that some tests judge the server with, into $TENSORGATE_TOOLS or .tools.
# What is there already is kept: remove the folder after a change of version here. A tool that cannot be installed is
# reported, and no failure: the tests that need it say that they are skipped. tools.ts finds what is installed here.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
mkdir -p "${TENSORGATE_TOOLS:=$root/.tools}"
tools=$(cd "$TENSORGATE_TOOLS" && pwd)

has_grpcurl() {
  [[ -x $tools/grpcurl/grpcurl ]]
}

install_grpcurl() {
  GOBIN=$tools/grpcurl CGO_ENABLED=0 GOFLAGS='-trimpath -buildvcs=false' \
    go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4
}

has_onnx_test_data() {
  [[ -d /usr/share/libonnx-testdata/data || -d $tools/onnx-test-data/usr/share/libonnx-testdata/data ]]
}

# Debian's package is data alone, so that it needs neither root nor the package manager's books.
install_onnx_test_data() {
  local folder
  folder=$(mktemp -d) && cd "$folder" || return
  apt-get download libonnx-testdata || { apt-get update && apt-get download libonnx-testdata; } || return
  dpkg -x libonnx-testdata_*.deb "$tools/onnx-test-data" && rm -r "$folder"
}

has_triton_client() {
  "$tools/python/bin/python" -c 'import tritonclient.grpc' 2>/dev/null
}

install_triton_client() {
  python3 -m venv "$tools/python" &&
    "$tools/python/bin/python" -m pip install --disable-pip-version-check 'tritonclient[grpc]==2.73.0'
}

ensure() {
  local name=$1 log
  "has_$name" && return
  echo "setup.sh: installing $name"
  log=$(mktemp)
  if ! ("install_$name") >"$log" 2>&1 || ! "has_$name"; then
    echo "setup.sh: CANNOT INSTALL $name; the tests that need it will be skipped. The last it said:" >&2
    tail -n 5 "$log" | sed 's/^/  /' >&2
  fi
  rm "$log"
}

ensure grpcurl
ensure onnx_test_data
ensure triton_client
exit 0
