// Command livego is a live streaming server: encoders publish over RTMP, viewers watch over RTMP,
// HTTP-FLV, WebSocket-FLV and HLS.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	cobra.MousetrapHelpText = "" // on Windows a double click starts the server too
	// The first signal asks the server to end; then signals have their usual effect again, so the
	// second one ends it at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	// A log whose reader is gone must not end the server, as the signal does where nobody wants to
	// know of it.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	p := program{environ: os.Environ(), stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	os.Exit(p.run(ctx, os.Args[1:]))
}

// program is what one invocation has around it.
type program struct {
	environ        []string
	stdin          io.Reader
	stdout, stderr io.Writer
}

// usageError marks a mistake in the command line.
type usageError struct{ error }

// run executes the command line and returns the exit code.
func (p program) run(ctx context.Context, args []string) int {
	root := newRoot(p)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	var wrongUse usageError
	if errors.As(err, &wrongUse) {
		complain(p.stderr, "livego: %v\nSee livego --help.\n", err)
		return exitUsage
	}
	complain(p.stderr, "livego: %v\n", err)
	return exitFailed
}
