#!/usr/bin/env bash
# install-pebble.sh DIR builds Pebble, Let's Encrypt's authority for tests, from the Go module proxy, and leaves DIR/pebble as the command
# to run. Does nothing when that version is there already.
set -euo pipefail

version=v2.10.3
dir=${1:?usage: $0 DIR}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
[ -x "$dir/pebble" ] && [ "$(cat "$dir/version" 2>/dev/null)" = "$version" ] && exit 0

echo "building Pebble $version into $dir"
# Outside of the module, so that its requirements have no say in ours.
cd "$dir"
if ! GOBIN="$dir" GOFLAGS=-mod=mod CGO_ENABLED=0 go install -trimpath -ldflags '-s -w' "github.com/letsencrypt/pebble/v2/cmd/pebble@$version"; then
  echo "$0: the Go module github.com/letsencrypt/pebble/v2@$version cannot be had or built; the test of acme_domains needs it" >&2
  exit 1
fi
echo "$version" >"$dir/version"
