#!/usr/bin/env bash
# fuzz.sh [TIME] runs every fuzz target of the module in turn, each for TIME (default 60s), and stops at the first finding.
set -euo pipefail

for package in $(go list ./internal/...); do
  for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
    echo "== $package $target"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "${1:-60s}" -fuzzminimizetime 1s "$package"
  done
done
