package server

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestLinesAreLimited: as many lines as strangers like cost little, and what is left out is told.
func TestLinesAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logs := &logBuffer{}
		log, lines := limited(slog.New(slog.NewTextHandler(logs, nil)))
		remote := log.With("remote", strings.Repeat("r", 1000))
		const each = 20000
		for i := range each {
			remote.Warn("refused", "app", strings.Repeat("x", 60000), "err", errors.New(strings.Repeat("e", 1000)))
			log.Info("left", "n", i)
		}
		wantEqual(t, "lines of what goes wrong", logs.count("msg=refused"), burstOfBad)
		wantEqual(t, "lines of what goes well", logs.count("msg=left"), burstOfGood)
		if size, most := len(logs.String()), (burstOfBad+burstOfGood)*4*maxValue; size > most {
			t.Errorf("%d bytes, want at most %d", size, most)
		}
		log.Error("something else")
		wantEqual(t, "another message", logs.count("something else"), 1)

		lines.report(t.Context(), time.Now())
		wantContains(t, "report", logs.String(), fmt.Sprintf("message=refused lines=%d", each-burstOfBad), fmt.Sprintf("message=left lines=%d", each-burstOfGood))
		for range 2 {
			log.Warn("refused")
		}
		lines.report(t.Context(), time.Now())
		wantEqual(t, "reports at once", logs.count("lines of the log were left out"), 2)

		time.Sleep(reportInterval) // synctest's clock
		lines.report(t.Context(), time.Now())
		wantContains(t, "report", logs.String(), "message=refused lines=2")
		log.Warn("refused", "app", "short")
		wantContains(t, "a line after a while", logs.String(), "msg=refused app=short")
		for range burstOfBad + 3 {
			log.Warn("refused")
		}
		time.Sleep(time.Second)
		log.Warn("refused")
		wantContains(t, "a line after others were left out", logs.String(), "left_out_before=")
	})
}

// TestManyMessages: the counters themselves are bounded, whatever comes as a message.
func TestManyMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no line gets its turn by time
		logs := &logBuffer{}
		log, lines := limited(slog.New(slog.NewTextHandler(logs, nil)))
		for i := range 10 * maxMessages {
			log.Warn(fmt.Sprintf("message %d %s", i, strings.Repeat("x", 1000)))
		}
		if n := len(lines.messages); n > maxMessages+1 {
			t.Errorf("%d counters", n)
		}
		if n := strings.Count(logs.String(), "\n"); n > maxMessages+burstOfBad {
			t.Errorf("%d lines", n)
		}
	})
}

func TestLinesKeepGroupsAndLevels(t *testing.T) {
	logs := &logBuffer{}
	log, _ := limited(slog.New(slog.NewTextHandler(logs, nil)))
	log.WithGroup("g").With("a", 1).Info("x", "b", []int{2})
	log.Debug("hidden")
	log.Error("panic", "stack", strings.Repeat("s", 4000))
	wantContains(t, "log", logs.String(), "msg=x g.a=1 g.b=[2]", strings.Repeat("s", 4000))
	wantEqual(t, "debug lines", logs.count("hidden"), 0)
}
