package main

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// onHangup calls f on SIGHUP, by which operators ask for the configuration to be read again, and by
// which a terminal goes away. Without it that ends the process at once, and all streams with it.
// What it returns ends that.
func onHangup(f func()) (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	var done sync.WaitGroup
	done.Go(func() {
		for range hangups {
			f()
		}
	})
	return func() {
		signal.Stop(hangups)
		close(hangups)
		done.Wait()
	}
}
