package main

import (
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// outliveSignals keeps the server up when it gets SIGHUP, by which a terminal goes away or an operator asks for files to be read or opened
// anew. Without it that ends the process at once, and all streams with it.
// What it returns ends that.
func outliveSignals(log *slog.Logger) (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	var done sync.WaitGroup
	done.Go(func() {
		for range hangups {
			log.Info("SIGHUP: nothing is read or opened anew; certificates are read when their files change, for all other options start the server anew")
		}
	})
	return func() {
		signal.Stop(hangups)
		close(hangups)
		done.Wait()
	}
}
