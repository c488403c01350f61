#!/usr/bin/env bash
# build-pages.sh builds web/ into internal/pages/dist, if something changed there since the last time.
# Without Node, or if its packages cannot be had, the program gets pages without script: then this
# says so, and fails only if PAGES is "required".
#
#   build-pages.sh          builds
#   build-pages.sh --check  checks types and style of the sources instead
set -euo pipefail
cd "$(dirname "$0")/../web"
manifest=../internal/pages/dist/.vite/manifest.json
installed=node_modules/.installed

without() {
  echo "pages without script: $1" >&2
  [ "${PAGES:-}" != required ] || exit 1
  exit 0
}

# install takes "build" or "all" and makes node_modules what the lock file says.
install() {
  for have in all "$1"; do
    ! cmp -s package-lock.json "$installed-$have" || return 0
  done
  echo "installing the packages of web/"
  local omit=()
  [ "$1" = all ] || omit=(--omit=dev)
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error "${omit[@]}" || return 1
  cp package-lock.json "$installed-$1"
}

changed() {
  [ ! -e $manifest ] || [ -n "$(find . -path ./node_modules -prune -o -type f -newer $manifest -print -quit)" ]
}

command -v npm >/dev/null && command -v node >/dev/null || without "there is no Node"
node --eval 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' ||
  without "they need Node 20.19 or later, this is $(node --version)"
if [ "${1:-}" = --check ]; then
  install all
  npm run --silent check
  exit
fi
changed || exit 0
install build || without "npm could not install what they need"
npm run --silent build -- --logLevel warn || without "web/ does not build"
touch $manifest
