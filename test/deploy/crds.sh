#!/usr/bin/env bash
# Prints the files with the definitions of the kinds that deploy/ uses beside those of Kubernetes, Istio and the Gateway API:
# Flagger's, Argo Rollouts', KEDA's, the Prometheus operator's and KServe's. They are in the Go modules of these projects, which
# `go mod download` fetches once and checks against Go's checksum database.
set -euo pipefail

# MODULE@VERSION FILE...
files_of() {
  local answer folder attempt
  # A proxy that has to fetch a large module itself first may give up on whoever asks.
  for attempt in 1 2 3 4 5; do
    [[ $attempt == 1 ]] || sleep 10
    if answer=$(cd / && go mod download -json "$1" 2>&1); then
      folder=$(sed -n 's/^\t"Dir": "\(.*\)",$/\1/p' <<<"$answer")
      printf "$folder/%s\n" "${@:2}"
      return
    fi
  done
  echo "crds.sh: cannot download $1: $answer" >&2
  return 1
}

files_of github.com/fluxcd/flagger@v1.36.1 artifacts/flagger/crd.yaml
files_of github.com/argoproj/argo-rollouts@v1.10.0 manifests/crds/rollout-crd.yaml manifests/crds/analysis-template-crd.yaml
files_of github.com/kedacore/keda/v2@v2.21.0 config/crd/bases/keda.sh_scaledobjects.yaml
files_of github.com/prometheus-operator/prometheus-operator@v0.85.0 \
  example/prometheus-operator-crd/monitoring.coreos.com_{podmonitors,prometheusrules}.yaml
files_of github.com/kserve/kserve@v0.17.0 \
  config/crd/full/serving.kserve.io_{clusterservingruntimes,inferenceservices}.yaml
