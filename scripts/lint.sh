#!/usr/bin/env bash
# lint.sh checks formatting, vet, staticcheck, that go.mod says what the code imports, and the sources of the pages.
set -euo pipefail

unformatted=$(gofmt -l cmd internal e2e scripts)
if [ -n "$unformatted" ]; then
  echo "gofmt -w is due on:" $unformatted
  exit 1
fi
go vet ./...
go tool staticcheck ./...
go mod tidy -diff
"$(dirname "$0")"/build-pages.sh --check
