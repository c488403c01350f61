//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// observers is how many clients follow the events of an observed server.
	observers = 64
	// followed are all that come by the player, and each second.
	followed = "viewer.joined,viewer.left,figures"
)

// observed is livego with as many clients as may follow its events, and one that asks for its
// metrics and its streams each second, as a monitoring system and a console do.
type observed struct{ livego }

var _ kind = observed{}

func (k observed) command(m *measurement, args []string) (*target, error) {
	t, err := k.livego.command(m, args)
	if err != nil {
		return nil, err
	}
	var events, answers atomic.Int64
	t.meanwhile = func(ctx context.Context) {
		var all sync.WaitGroup
		for range observers {
			all.Go(func() { m.follow(ctx, &events) })
		}
		all.Go(func() { m.poll(ctx, &answers) })
		all.Wait()
	}
	t.sound = func(context.Context) error {
		// Each player that joins is an event for each client.
		if least := int64(observers * 100); events.Load() < least || answers.Load() < 2 {
			return fmt.Errorf("%d events came of %d, %d answers", events.Load(), least, answers.Load())
		}
		return nil
	}
	return t, nil
}

// follow counts the events that come until ctx ends.
func (m *measurement) follow(ctx context.Context, events *atomic.Int64) {
	m.ask(ctx, "/api/v1/events?types="+followed, func(body io.Reader) {
		for lines := bufio.NewScanner(body); lines.Scan(); {
			if strings.HasPrefix(lines.Text(), "event:") {
				events.Add(1)
			}
		}
	})
}

// poll asks each second until ctx ends.
func (m *measurement) poll(ctx context.Context, answers *atomic.Int64) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for ctx.Err() == nil {
		for _, path := range []string{"/metrics", "/api/v1/streams", "/api/v1/sessions"} {
			m.ask(ctx, path, func(body io.Reader) {
				if n, err := io.Copy(io.Discard, body); err == nil && n > 0 {
					answers.Add(1)
				}
			})
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// ask has use read what the API answers, if it answers.
func (m *measurement) ask(ctx context.Context, path string, use func(io.Reader)) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m.apiAddr+path, nil)
	if err != nil {
		return
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusOK {
		use(answer.Body)
	}
}
