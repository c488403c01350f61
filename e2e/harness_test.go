// Package e2e runs the built program against real clients and compares what comes out with what
// went in, access unit by access unit. It runs by `make e2e`, which builds the programs and sets:
//
//	LIVEGO_E2E       anything: without it the package does nothing
//	LIVEGO_BIN       the program as it is shipped
//	LIVEGO_RACE_BIN  the program with the race detector, which most tests run
//	FFMPEG7          an FFmpeg of version 7.1 or later, made by scripts/install-trixie-ffmpeg.sh
//	PEBBLE           an authority for certificates, which `make tools` builds
package e2e

import (
	"fmt"
	"os"
	"testing"
)

// work is the folder of this run: one folder per server and the clips that tests publish.
var work string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if os.Getenv("LIVEGO_E2E") == "" {
		fmt.Println("e2e: not run, as LIVEGO_E2E is not set (make e2e)")
		return 0
	}
	dir, err := os.MkdirTemp("", "livego-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	work = dir

	code := m.Run()
	if err := chromium.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e: the browser that tests share:", err)
		code = 1
	}
	if err := everybody.stop(); err != nil {
		fmt.Fprintf(os.Stderr, "e2e: the server that tests share: %v\n%s\n", err, everybody.logTail())
		return 1
	}
	return code
}
