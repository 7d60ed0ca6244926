#!/usr/bin/env bash
# Prints the files with the definitions of the kinds that deploy/ uses beside those of Kubernetes, Istio and the Gateway API:
# Flagger's, Argo Rollouts', KEDA's, the Prometheus operator's and KServe's. They are in the Go modules of these projects, which
# `go mod download` fetches and checks against Go's checksum database; they are kept beside what the mesh rig runs. Where a
# module cannot be fetched, the other files are printed all the same, and the exit code is 1.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/tensorgate/mesh/definitions-$(sha256sum <"$here/crds.sh" | cut -c1-16)
mkdir -p "$cache"
missing=0

# MODULE@VERSION FILE...
files_of() {
  local answer folder file attempt
  for file in "${@:2}"; do
    [[ -s $cache/$(basename "$file") ]] || break
    [[ $file != "${!#}" ]] || return 0
  done
  # A proxy that has to fetch a large module itself first may give up on whoever asks.
  for attempt in 1 2 3; do
    [[ $attempt == 1 ]] || sleep 10
    if answer=$(cd / && go mod download -json "$1" 2>&1); then
      folder=$(sed -n 's/^\t"Dir": "\(.*\)",$/\1/p' <<<"$answer")
      for file in "${@:2}"; do cp "$folder/$file" "$cache/"; done
      chmod u+w "$cache"/*
      return
    fi
  done
  echo "crds.sh: cannot download $1: $answer" >&2
  missing=1
}

files_of github.com/fluxcd/flagger@v1.36.1 artifacts/flagger/crd.yaml
files_of github.com/argoproj/argo-rollouts@v1.10.0 manifests/crds/rollout-crd.yaml manifests/crds/analysis-template-crd.yaml
files_of github.com/kedacore/keda/v2@v2.21.0 config/crd/bases/keda.sh_scaledobjects.yaml
files_of github.com/prometheus-operator/prometheus-operator@v0.85.0 \
  example/prometheus-operator-crd/monitoring.coreos.com_{podmonitors,prometheusrules}.yaml
files_of github.com/kserve/kserve@v0.17.0 \
  config/crd/full/serving.kserve.io_{clusterservingruntimes,inferenceservices}.yaml

find "$cache" -name '*.yaml' | sort
exit $missing
