#!/usr/bin/env bash
# install-versitygw.sh DIR builds versitygw, an S3 server over a folder, from the Go module proxy, and leaves DIR/versitygw as the
# command to run. Does nothing when that version is there already; the build takes some minutes.
set -euo pipefail

version=v1.8.0
dir=${1:?usage: $0 DIR}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
[ -x "$dir/versitygw" ] && [ "$(cat "$dir/version" 2>/dev/null)" = "$version" ] && exit 0

echo "building versitygw $version into $dir"
# Outside of the module, so that its requirements have no say in ours.
cd "$dir"
if ! GOBIN="$dir" GOFLAGS=-mod=mod CGO_ENABLED=0 go install -trimpath -ldflags '-s -w' "github.com/versity/versitygw/cmd/versitygw@$version"; then
  echo "$0: the Go module github.com/versity/versitygw@$version cannot be had or built; the tests against S3 need it" >&2
  exit 1
fi
echo "$version" >"$dir/version"
