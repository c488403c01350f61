//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"livego/internal/bench"
)

// watch publishes a stream of its own and watches it over HTTP-FLV with a few players, in a process
// of its own, while something happens to the server.
type watch struct {
	command *exec.Cmd
	out     bytes.Buffer
}

const (
	watchStream  = "watched"
	watchPlayers = 20
	// watchWarmup is the time from the start to the measurement: the players have their first
	// pictures then.
	watchWarmup = 4 * time.Second
)

// watch begins to watch. The measurement begins after watchWarmup and lasts for d.
func (s *server) watch(ctx context.Context, videoRate int, d time.Duration) (*watch, error) {
	w := &watch{}
	w.command = exec.CommandContext(ctx, s.binary, "bench", "--json", "--stream", watchStream,
		"--publish", "rtmp://"+s.rtmp+"/live/{stream}", "--play", "http://"+s.flv+"/live/{stream}.flv",
		"--players", strconv.Itoa(watchPlayers), "--sample", strconv.Itoa(watchPlayers), "--video-rate", strconv.Itoa(videoRate/1000),
		"--warmup", (watchWarmup - time.Second).String(), "--duration", d.String())
	w.command.Dir, w.command.Stdout = s.command.Dir, &w.out
	w.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return w, w.command.Start()
}

// report waits for the end of the measurement.
func (w *watch) report() (*bench.Report, error) {
	if err := w.command.Wait(); err != nil {
		return nil, fmt.Errorf("watching: %w", err)
	}
	var report bench.Report
	if err := json.Unmarshal(w.out.Bytes(), &report); err != nil {
		return nil, fmt.Errorf("watching: %w", err)
	}
	return &report, nil
}
