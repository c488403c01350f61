package event

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

func newBus(ring int) *Bus { return NewBus(Options{Node: "a", Boot: "b", Ring: ring}) }

// read returns the streams of the next events.
func read(t *testing.T, c *Cursor, n int) (streams []string) {
	t.Helper()
	for range n {
		e, err := c.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		streams = append(streams, e.Stream)
	}
	return streams
}

func TestCursorsReadAllInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBus(8)
		b.Emit(Event{Stream: "before"})
		first, second := b.Follow(), b.Follow()
		go func() {
			for i := range 8 {
				time.Sleep(time.Second)
				b.Emit(Event{Stream: fmt.Sprint(i)})
			}
		}()
		want := []string{"0", "1", "2", "3", "4", "5", "6", "7"}
		if diff := cmp.Diff(want, read(t, first, 8)); diff != "" {
			t.Error(diff)
		}
		synctest.Wait()
		if diff := cmp.Diff(want, read(t, second, 8)); diff != "" {
			t.Error(diff)
		}
		if first.Missed()+second.Missed() > 0 {
			t.Error("events missed")
		}
	})
}

// TestSlowReader: who reads too slowly goes on with the oldest event that there is, and knows what
// it missed.
func TestSlowReader(t *testing.T) {
	b := newBus(4)
	c := b.Follow()
	for i := range 10 {
		b.Emit(Event{Stream: fmt.Sprint(i)})
	}
	if diff := cmp.Diff([]string{"6", "7", "8", "9"}, read(t, c, 4)); diff != "" {
		t.Error(diff)
	}
	if c.Missed() != 6 {
		t.Errorf("%d missed, want 6", c.Missed())
	}
}

func TestFollowAfter(t *testing.T) {
	b := newBus(4)
	for i := range 10 {
		b.Emit(Event{Stream: fmt.Sprint(i)})
	}
	for _, c := range []struct {
		id     string
		want   []string
		missed uint64
	}{
		{"b-8", []string{"9"}, 0},
		{"b-6", []string{"7", "8", "9"}, 0},
		{"b-5", []string{"6", "7", "8", "9"}, 0},
		{"b-1", []string{"6", "7", "8", "9"}, 4},
		{"b-99", []string{"6", "7", "8", "9"}, 6},
		{"other-8", []string{"6", "7", "8", "9"}, 6},
		{"b-18446744073709551615", []string{"6", "7", "8", "9"}, 6},
		{"", []string{"6", "7", "8", "9"}, 6},
	} {
		cursor := b.FollowAfter(c.id)
		if diff := cmp.Diff(c.want, read(t, cursor, len(c.want))); diff != "" {
			t.Errorf("%q: %s", c.id, diff)
		}
		if cursor.Missed() != c.missed || cursor.Behind() != "b-9" {
			t.Errorf("%q: %d missed, now behind %q", c.id, cursor.Missed(), cursor.Behind())
		}
	}
	if id := newBus(4).Follow().Behind(); id != "" {
		t.Errorf("where nothing has happened it is behind %q", id)
	}
}

func TestEnds(t *testing.T) {
	b := newBus(4)
	c := b.Follow()
	b.Emit(Event{Stream: "last"})
	b.Close()
	b.Close()
	b.Emit(Event{Stream: "too late"})
	read(t, c, 1)
	if _, err := c.Next(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	if _, err := newBus(1).Follow().Next(ctx); !errors.Is(err, gone) {
		t.Errorf("a context that ended: %v", err)
	}
}

func TestJSON(t *testing.T) {
	b := newBus(1)
	c := b.Follow()
	b.emit(Event{
		Type: StreamLost, Stream: "live/movie", Session: &Session{ID: "s", Protocol: "rtmp", Remote: "[::1]:5"}, Data: Reason{"connection lost"},
	}, noon.In(time.FixedZone("east", 3600)))
	e, err := c.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"id":"b-0","type":"stream.lost","time":"2026-12-01T12:00:00Z","node":"a","stream":"live/movie",` +
		`"session":{"id":"s","protocol":"rtmp","remote":"[::1]:5"},"data":{"reason":"connection lost"}}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}

// A cursor that is split ends where the other one goes on, whatever happens between them.
func TestSplit(t *testing.T) {
	b := NewBus(Options{Boot: "b"})
	first := b.Follow()
	b.Emit(Event{Type: StreamStarted})
	second := first.Split()
	b.Emit(Event{Type: StreamEnded})
	if e, err := first.Next(t.Context()); err != nil || e.Type != StreamStarted {
		t.Errorf("first: %v, %v", e.Type, err)
	}
	if _, err := first.Next(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("first goes on: %v", err)
	}
	if e, err := second.Next(t.Context()); err != nil || e.Type != StreamEnded {
		t.Errorf("second: %v, %v", e.Type, err)
	}
}

// A reader that waits learns of the split.
func TestSplitWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewBus(Options{Boot: "b"}).Follow()
		ended := make(chan error, 1)
		go func() {
			_, err := c.Next(t.Context())
			ended <- err
		}()
		synctest.Wait()
		c.Split()
		if err := <-ended; !errors.Is(err, ErrClosed) {
			t.Errorf("%v", err)
		}
	})
}
