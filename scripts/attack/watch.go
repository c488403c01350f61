//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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
	server  *server
	command *exec.Cmd
	out     bytes.Buffer
	// began is the CPU time that the server had used by the begin of the attack.
	began time.Duration
	// ran and waited are as in scheduled, then.
	ran, waited time.Duration
	// control is the same at the server that nobody attacks.
	control *watch
	// stretch is by how much longer everything took, as threads waited for a processor.
	stretch float64
}

const (
	watchStream  = "watched"
	watchPlayers = 20
	// watchWarmup is the time from the start to the measurement: the players have their first
	// pictures then.
	watchWarmup = 4 * time.Second
	// maxStretch bounds by how much longer a busy machine may make what is bounded.
	maxStretch = 10
)

// watch begins to watch, at the server that nobody attacks too. The measurement begins after
// watchWarmup and lasts for d.
func (s *server) watch(ctx context.Context, videoRate int, d time.Duration) (*watch, error) {
	w, err := s.watchOne(ctx, videoRate, d)
	if err != nil {
		return nil, err
	}
	w.control, err = s.other.watchOne(ctx, videoRate, d)
	return w, err
}

func (s *server) watchOne(ctx context.Context, videoRate int, d time.Duration) (*watch, error) {
	w := &watch{server: s}
	w.command = exec.CommandContext(ctx, s.binary, "bench", "--json", "--stream", watchStream,
		"--publish", "rtmp://"+s.rtmp+"/live/{stream}", "--play", "http://"+s.flv+"/live/{stream}.flv",
		"--players", strconv.Itoa(watchPlayers), "--sample", strconv.Itoa(watchPlayers), "--video-rate", strconv.Itoa(videoRate/1000),
		"--warmup", (watchWarmup - time.Second).String(), "--duration", d.String())
	w.command.Dir, w.command.Stdout = s.command.Dir, &w.out
	w.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return w, w.command.Start()
}

// begin notes that the attack begins.
func (w *watch) begin() {
	w.began, w.control.began = w.server.cpu(), w.control.server.cpu()
	w.ran, w.waited = w.server.scheduled()
}

// report waits for the end of the measurement, and reports what viewers saw and what CPU time the
// attack took, of which at most as much is allowed.
//
// On a busy machine all that a server does takes longer, by what its threads wait for a processor:
// what other programs take, this one among them, which on another machine would take nothing. That
// is left out of the gap. What viewers of a server see which nobody attacks is beside it.
func (w *watch) report(r *report, cpu time.Duration) error {
	seen, err := w.gap()
	took := w.server.cpu() - w.began
	ran, waited := w.server.scheduled()
	other, otherErr := w.control.gap()
	if err := errors.Join(err, otherErr); err != nil {
		return err
	}
	took -= w.control.server.cpu() - w.control.began
	ran, waited = ran-w.ran, waited-w.waited
	stretch := 1.0
	if ran > 0 {
		stretch += float64(waited) / float64(ran)
	}
	w.stretch = min(stretch, maxStretch)
	r.without("longest gap between two pictures of a viewer", seen, other, w.stretch, milliseconds(maxGap), "ms")
	r.atMost("CPU time, beside that of a server that nobody attacks", max(took, 0).Seconds(), cpu.Seconds(), "s")
	return nil
}

// gap waits for the end of the measurement and returns the longest gap of a viewer, in ms.
func (w *watch) gap() (float64, error) {
	if err := w.command.Wait(); err != nil {
		return 0, fmt.Errorf("watching: %w", err)
	}
	var report bench.Report
	if err := json.Unmarshal(w.out.Bytes(), &report); err != nil {
		return 0, fmt.Errorf("watching: %w", err)
	}
	return report.GapMS.Max, nil
}
