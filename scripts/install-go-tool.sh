#!/usr/bin/env bash
# install-go-tool.sh DIR MODULE COMMAND VERSION WHY builds a program that tests need, COMMAND of a Go module, from the Go module proxy, and
# leaves it in DIR by the name of the folder that COMMAND is, "" if it is the module's own. Does nothing when that version is there already. WHY says what needs it.
set -euo pipefail

dir=${1:?usage: $0 DIR MODULE COMMAND VERSION WHY} module=${2:?} command=${3?} version=${4:?} why=${5:?}
path=$module${command:+/$command}
name=$(basename "$path")
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
[ -x "$dir/$name" ] && [ "$(cat "$dir/version" 2>/dev/null)" = "$version" ] && exit 0

echo "building $name $version into $dir"
# Outside of the module, so that its requirements have no say in ours.
cd "$dir"
if ! GOBIN="$dir" GOFLAGS=-mod=mod CGO_ENABLED=0 go install -trimpath -ldflags '-s -w' "$path@$version"; then
  echo "$0: the Go module $module@$version cannot be had or built; $why" >&2
  exit 1
fi
echo "$version" >"$dir/version"
