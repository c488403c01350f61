#!/usr/bin/env bash
# cross.sh builds the program for the other systems it is made for, without keeping what comes out.
set -euo pipefail

for target in linux/arm64 darwin/arm64 freebsd/amd64 windows/amd64; do
  echo "== $target"
  CGO_ENABLED=0 GOOS=${target%/*} GOARCH=${target#*/} go build -o /dev/null ./cmd/livego
done
