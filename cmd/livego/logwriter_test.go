package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"livego/internal/config"
)

// TestLogThatNobodyReads: lines are dropped and counted while the log stands, and when somebody
// reads it again it says how many.
func TestLogThatNobodyReads(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		synctest.Test(t, func(t *testing.T) {
			cfg := config.Default()
			cfg.LogFormat = format
			in, out := io.Pipe()
			log, closeLog := openLog(out, cfg.LogFormat, cfg.Level)
			const lines = 20_000
			text := strings.Repeat("x", 100)
			for i := range lines {
				log.Info(text, "n", i)
			}
			synctest.Wait() // the writer stands
			closed := make(chan struct{})
			go func() {
				closeLog()
				out.Close()
				close(closed)
			}()
			got, dropped, last := 0, 0, -1
			for scanner := bufio.NewScanner(in); scanner.Scan(); {
				n := number(t, `n["=:]*(\d+)`, scanner.Text())
				if strings.Contains(scanner.Text(), "were dropped") {
					dropped += number(t, `lines["=:]*(\d+)`, scanner.Text())
					continue
				}
				if got++; n <= last {
					t.Fatalf("%s: line %d after %d", format, n, last)
				}
				last = n
			}
			<-closed
			if dropped == 0 || got+dropped != lines {
				t.Errorf("%s: %d lines and %d dropped, want %d together", format, got, dropped, lines)
			}
		})
	}
}

func number(t *testing.T, expression, line string) int {
	t.Helper()
	found := regexp.MustCompile(expression).FindStringSubmatch(line)
	if found == nil {
		return -1
	}
	n, err := strconv.Atoi(found[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// stuck takes nothing until it is closed.
type stuck chan struct{}

func (s stuck) Write(b []byte) (int, error) {
	<-s
	return len(b), nil
}

// TestEndWithoutReaders: neither the log nor a last word keeps the program from ending.
func TestEndWithoutReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := make(stuck)
		begin := time.Now()
		log, closeLog := openLog(out, "text", config.Default().Level)
		log.Info("nobody reads this")
		closeLog()
		complain(out, "nor %s", "this")
		if took := time.Since(begin); took > 2*logPatience {
			t.Errorf("the end took %v", took)
		}
		close(out)
	})
}

// TestLogIsWhole: what was logged before the end is written, by however many.
func TestLogIsWhole(t *testing.T) {
	var out bytes.Buffer
	w := newLogWriter(&out, nil)
	var writers sync.WaitGroup
	const each = 500
	for i := range 4 {
		writers.Go(func() {
			for n := range each {
				fmt.Fprintf(w, "%d %d\n", i, n)
			}
		})
	}
	writers.Wait()
	w.Close()
	if lines := strings.Count(out.String(), "\n"); lines != 4*each {
		t.Errorf("%d lines, want %d", lines, 4*each)
	}
}
