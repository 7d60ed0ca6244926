#!/usr/bin/env bash
# Asks a real API server, with Istio's webhooks, about every overlay: each is to be taken, everything in refused/ to be refused, and
# `istioctl analyze` is to find nothing, except in found/. To be run beside the control plane of the mesh rig:
#
#   npm run -s test:mesh -- --exec test/deploy/dry-run.sh
#
# Nothing is created but namespaces and the definitions of other projects' kinds.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

passed=0 failed=0
pass() {
  passed=$((passed + 1))
  echo "ok   $1"
}
fail() {
  failed=$((failed + 1))
  echo "FAIL $1"
  sed 's/^/       /' <<<"$2"
}

definitions=$(test/deploy/crds.sh)
while read -r file; do
  kubectl apply --server-side -f "$file" >/dev/null
done <<<"$definitions"
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
    fail "$overlay is taken, without warnings" "$(grep -v 'serverside-applied' <<<"$output")"
  fi
done

# What components make that are in no overlay, or differ with what goes with them.
objects=$(mktemp)
trap 'rm -f "$objects"' EXIT
node_modules/.bin/node test/deploy/every-object.ts >"$objects"
if output=$(kubectl apply --server-side --dry-run=server -f "$objects" 2>&1) &&
  ! grep -v 'EnvoyFilter exposes internal' <<<"$output" | grep -q Warning; then
  pass "every legal pair of components is taken: $(grep -c serverside-applied <<<"$output") objects"
else
  fail 'every legal pair of components is taken, without warnings' "$(grep -v 'serverside-applied' <<<"$output")"
fi

# The first line of each says what the refusal has to say.
for file in test/deploy/refused/*.yaml; do
  wanted=$(sed -n '1s/^# refused: //p' "$file")
  if output=$(kubectl apply --server-side --dry-run=server -f "$file" 2>&1); then
    fail "$file is refused" 'it was taken'
  elif [[ -n $wanted ]] && grep -qF -- "$wanted" <<<"$output"; then
    pass "$file is refused: $wanted"
  else
    fail "$file is refused for '$wanted'" "$output"
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

echo "$passed passed, $failed failed"
[[ $failed == 0 ]]
