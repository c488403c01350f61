#!/usr/bin/env bash
# fuzz.sh [TIME] tries the properties that tests hold with other draws than they, and runs every fuzz target of the module in turn, each for TIME
# (default 60s). It stops at the first finding.
set -euo pipefail

log=$(mktemp)
trap 'rm -f "$log"' EXIT
LIVEGO_RANDOM_DRAWS=1 go test -count=1 $(grep -rl --include='*_test.go' 'property\.Fix' internal | xargs -n1 dirname | sort -u | sed 's|^|./|') -rapid.checks=200 -timeout 40m
for package in $(go list ./internal/...); do
  for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
    echo "== $package $target"
    if ! go test -run '^$' -fuzz "^$target\$" -fuzztime "${1:-60s}" -fuzzminimizetime 1s "$package" 2>&1 | tee "$log"; then
      # The Go fuzzer sometimes calls the end of its own time a failure (golang.org/issue/48591). A finding names its input.
      if ! grep -q 'context deadline exceeded' "$log" || grep -q 'Failing input' "$log"; then
        exit 1
      fi
    fi
  done
done
