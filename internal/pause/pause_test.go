package pause_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"livego/internal/pause"
)

// TestFor: it waits as long as it should, or until its context ends, whose cause it tells.
func TestFor(t *testing.T) {
	over := errors.New("over")
	for _, c := range []struct {
		d, end, lasts time.Duration
		err           error
	}{
		{time.Second, time.Minute, time.Second, nil},
		{time.Minute, time.Second, time.Second, over},
		{0, time.Second, 0, nil},
		{-time.Second, time.Second, 0, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, end := context.WithCancelCause(t.Context())
			defer time.AfterFunc(c.end, func() { end(over) }).Stop()
			began := time.Now()
			if err := pause.For(ctx, c.d); err != c.err || time.Since(began) != c.lasts {
				t.Errorf("%v, which ends after %v: waited for %v: %v", c.d, c.end, time.Since(began), err)
			}
		})
	}
}
