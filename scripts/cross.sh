#!/usr/bin/env bash
# cross.sh builds the program for the systems that have files of their own, without keeping what comes out. Other processors have none: `make
# release` builds for them.
set -euo pipefail

for target in darwin/arm64 freebsd/amd64 windows/amd64; do
  echo "== $target"
  CGO_ENABLED=0 GOOS=${target%/*} GOARCH=${target#*/} go build -o /dev/null ./cmd/livego
done
