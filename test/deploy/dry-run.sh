#!/usr/bin/env bash
# Asks a real API server, with Istio's webhooks, about every overlay: each is to be taken, everything in refused/ to be refused, and
# `istioctl analyze` is to find nothing, except in found/. To be run beside the control plane of the mesh rig:
#
#   npm run -s test:mesh -- --exec test/deploy/dry-run.sh
#
# After that, the canary of deploy/istio/README.md is begun, promoted and taken back with its commands.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

passed=0 failed=0 skipped=0
pass() {
  passed=$((passed + 1))
  echo "ok   $1"
}
fail() {
  failed=$((failed + 1))
  echo "FAIL $1"
  sed 's/^/       /' <<<"$2"
}

# Without the network some kinds stay unknown, and nothing can be said of what uses them.
complete=true
definitions=$(test/deploy/crds.sh) || complete=false
while read -r file; do
  [[ -z $file ]] || kubectl apply --server-side -f "$file" >/dev/null
done <<<"$definitions"
# NAME OUTPUT: of an attempt that was not taken. Skipped where nothing but the unknown kinds speaks against it.
refused() {
  local unknown='could not find the requested resource (patch '
  if [[ $complete == false ]] && grep -qF "$unknown" <<<"$2" &&
    ! grep -vF -e "$unknown" -e serverside-applied -e 'EnvoyFilter exposes internal' <<<"$2" | grep -q .; then
    skipped=$((skipped + 1))
    echo "SKIP $1: $(sed -n 's/.*(patch \([^ ]*\) .*/\1/p' <<<"$2" | sort -u | paste -sd ' ' -) could not be downloaded"
  else
    fail "$1" "$2"
  fi
}
kubectl wait --for=condition=Established --timeout=60s crd --all >/dev/null
for namespace in inference observability; do
  kubectl create namespace $namespace --dry-run=client -o yaml | kubectl apply -f - >/dev/null
done

for overlay in deploy/istio/overlays/* deploy/kserve; do
  # Of an EnvoyFilter it always warns, whatever is in it.
  if output=$(kubectl apply --server-side --dry-run=server -k "$overlay" 2>&1) &&
    ! grep -v 'EnvoyFilter exposes internal' <<<"$output" | grep -q Warning; then
    pass "$overlay is taken: $(grep -c serverside-applied <<<"$output") objects"
  else
    refused "$overlay is taken, without warnings" "$(grep -v 'serverside-applied' <<<"$output")"
  fi
done

# The chart, with the values of each of its examples; then a release from its beginning to its end.
chart=deploy/helm/tensorgate
helm=.tools/helm/helm
[[ -x $helm ]] || helm=$(type -P helm || true)
if [[ -z $helm ]]; then
  skipped=$((skipped + 1))
  echo 'SKIP the chart: helm is not installed (test/tools/setup.sh does)'
else
  for values in "$chart"/ci/*-values.yaml; do
    if output=$("$helm" template tensorgate "$chart" --namespace inference --values "$values" |
      kubectl apply --server-side --dry-run=server -f - 2>&1) && ! grep -q Warning <<<"$output"; then
      pass "the chart with $(basename "$values") is taken: $(grep -c serverside-applied <<<"$output") objects"
    else
      refused "the chart with $(basename "$values") is taken, without warnings" "$(grep -v 'serverside-applied' <<<"$output")"
    fi
  done
  # WHAT WANTED COMMAND..
  release() {
    local output
    if output=$("${@:3}" 2>&1) && [[ $output == *"$2"* ]]; then pass "$1"; else fail "$1: $2" "$output"; fi
  }
  values=(--namespace charts --values "$chart/ci/plain-values.yaml")
  # The API server of the rig is built without a version, which `kubeVersion` cannot accept.
  copy=$(mktemp -d)
  cp -r "$chart/." "$copy"
  sed -i '/^kubeVersion:/d' "$copy/Chart.yaml"
  release 'a release is installed, and its notes lead to an answer' 'npx tensorgate models --url 127.0.0.1:8001' \
    "$helm" install vision "$copy" --create-namespace "${values[@]}"
  release 'a setting that the server does not know stops an upgrade' 'TENSORGATE_LAME_DUCK' \
    bash -c '! "$@"' - "$helm" upgrade vision "$copy" "${values[@]}" --set settings.TENSORGATE_LAME_DUCK=1
  release 'an upgrade changes the release' 'REVISION: 2' \
    "$helm" upgrade vision "$copy" "${values[@]}" --set replicaCount=5 --set models.source=pvc
  release 'and its pods' 5 kubectl -n charts get deployment vision-tensorgate -o 'jsonpath={.spec.replicas}'
  release 'an uninstall takes the release away' uninstalled "$helm" uninstall vision --namespace charts
  rm -r "$copy"
  release 'and leaves the volume of the models' vision-tensorgate-models kubectl -n charts get persistentvolumeclaim
fi

# What components make that are in no overlay, or differ with what goes with them.
objects=$(mktemp)
trap 'rm -f "$objects"' EXIT
node_modules/.bin/node test/deploy/every-object.ts >"$objects"
if output=$(kubectl apply --server-side --dry-run=server -f "$objects" 2>&1) &&
  ! grep -v 'EnvoyFilter exposes internal' <<<"$output" | grep -q Warning; then
  pass "every legal pair of components is taken: $(grep -c serverside-applied <<<"$output") objects"
else
  refused 'every legal pair of components is taken, without warnings' "$(grep -v 'serverside-applied' <<<"$output")"
fi

# The first line of each says what the refusal has to say.
for file in test/deploy/refused/*.yaml; do
  wanted=$(sed -n '1s/^# refused: //p' "$file")
  if output=$(kubectl apply --server-side --dry-run=server -f "$file" 2>&1); then
    fail "$file is refused" 'it was taken'
  elif [[ -n $wanted ]] && grep -qF -- "$wanted" <<<"$output"; then
    pass "$file is refused: $wanted"
  else
    refused "$file is refused for '$wanted'" "$output"
  fi
done

# In all namespaces: else only those of `default` are told of. IST0133 is the warning of EnvoyFilters.
analyze() {
  istioctl analyze --use-kube=false --all-namespaces --failure-threshold Info -S 'IST0133=EnvoyFilter *.istio-system' "$1" 2>&1
}

build=$(mktemp)
trap 'rm -f "$objects" "$build"' EXIT
for overlay in deploy/istio/overlays/*; do
  kubectl kustomize "$overlay" >"$build"
  if output=$(analyze "$build"); then
    pass "istioctl finds nothing in $overlay"
  else
    fail "istioctl finds nothing in $overlay" "$output"
  fi
done

# That it can find something at all.
for file in test/deploy/found/*.yaml; do
  wanted=$(sed -n '1s/^# found: //p' "$file")
  output=$(analyze "$file") || true
  if [[ -n $wanted ]] && grep -qF -- "$wanted" <<<"$output"; then
    pass "istioctl finds in $file: $wanted"
  else
    fail "istioctl finds $wanted in $file" "$output"
  fi
done

# WHAT WANTED JSONPATH: of the route of ModelInfer.
routed() {
  local got
  got=$(kubectl -n inference get virtualservice tensorgate -o jsonpath="{.spec.http[?(@.name=='infer')]$3}")
  if [[ $got == "$2" ]]; then pass "$1: $got"; else fail "$1: $2" "$got"; fi
}

readme=deploy/istio/README.md
{
  kubectl apply -k deploy/istio/overlays/sidecar
  created=$(kubectl apply -k deploy/istio/overlays/sidecar-canary -l track=canary -o name)
} >/dev/null
if [[ $created == deployment.apps/tensorgate-canary ]]; then
  pass 'the canary begins with its Deployment alone'
else
  fail 'the canary begins with its Deployment alone' "$created"
fi
routed 'and without traffic' stable '.route[*].destination.subset'
kubectl apply -k deploy/istio/overlays/sidecar-canary >/dev/null
routed 'then it has a tenth' '90 10' '.route[*].weight'
kubectl -n inference patch virtualservice tensorgate --type json \
  -p "$(sed -n "/--type json -p '\[\$/,/\]'\$/p" $readme | sed "s/.*-p '//; s/'\$//")" >/dev/null
routed 'the patch of the README gives it half' '50 50' '.route[*].weight'
kubectl apply -k deploy/istio/overlays/sidecar >/dev/null
routed 'one command takes it back' stable '.route[*].destination.subset'
if kubectl -n inference get deployment tensorgate-canary >/dev/null; then
  pass 'and leaves its pods to be looked at'
else
  fail 'and leaves its pods to be looked at' 'they are gone'
fi

echo "$passed passed, $failed failed, $skipped skipped"
[[ $failed == 0 ]]
