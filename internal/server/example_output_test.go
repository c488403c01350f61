package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"livego/internal/live"
	"livego/internal/media"
)

// chapters is an output: it notes the times of the random access points of each publication, as a
// list of contents would have them.
type chapters struct {
	mu    sync.Mutex
	of    map[live.Name][]time.Duration
	ended chan live.Name
}

// output is all that an output has to be. Its reader is made at once, so that it misses nothing;
// what it returns reads until the publication ends.
func (c *chapters) output(pub *live.Publication) func(context.Context) error {
	r := pub.NewReader(live.ReaderOptions{GOPs: -1, Settled: true, Lazy: true})
	return func(ctx context.Context) error {
		defer func() { c.ended <- pub.Name() }()
		defer r.Close()
		for units := make([]media.AccessUnit, 64); ; {
			n, err := r.Read(ctx, units)
			if errors.Is(err, io.EOF) {
				return nil
			}
			if errors.Is(err, media.ErrSuspended) {
				continue // the publisher is away
			}
			if err != nil {
				return err
			}
			c.note(pub.Name(), units[:n])
		}
	}
}

func (c *chapters) note(name live.Name, units []media.AccessUnit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, u := range units {
		if u.Header == media.Sample && u.Track.Kind == media.Video && u.RandomAccess {
			c.of[name] = append(c.of[name], u.DTS)
		}
	}
}

// TestOutputOfItsOwn adds an output by one line in the list of outputs.
func TestOutputOfItsOwn(t *testing.T) {
	s, c := open(t), &chapters{of: make(map[live.Name][]time.Duration), ended: make(chan live.Name, 1)}
	s.outputs = append(s.outputs, c.output)
	s.run()
	e := publish(t, s, "room")
	e.send(clip(t)...)
	e.unpublish()
	name := receive(t, "end of the output", c.ended)
	c.mu.Lock()
	defer c.mu.Unlock()
	wantEqual(t, "publication", name, live.Name{App: "live", Stream: "room"})
	wantEqual(t, "chapters", fmt.Sprint(c.of[name]), "[0s 2s 4s 6s]")
}
