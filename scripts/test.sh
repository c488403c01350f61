#!/usr/bin/env bash
# test.sh FLAGS... PACKAGE runs go test. With GOTESTSUM, that program, up to three tests that fail are run once more, alone, and named at the end: a
# busy machine fails a few for want of time. A data race, a panic or a fourth failure is final at once.
set -euo pipefail

if [ -z "${GOTESTSUM:-}" ]; then
  exec go test "$@"
fi
report=$(mktemp)
trap 'rm -f "$report"' EXIT
status=0
"$GOTESTSUM" --format standard-quiet --rerun-fails=1 --rerun-fails-max-failures=3 --rerun-fails-run-root-test --rerun-fails-abort-on-data-race \
  --rerun-fails-report="$report" --packages="${*: -1}" -- "${@:1:$#-1}" || status=$?
if [ -s "$report" ]; then
  echo "Run again, for they failed at first. One that passed now has a fault, or is in too much of a hurry:"
  cat "$report"
fi
exit "$status"
