package keys

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		calls := make(chan time.Duration, 9)
		var down atomic.Bool
		wake := make(chan struct{}, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go watch(ctx, wake, func(context.Context) error {
			calls <- time.Since(start)
			if down.Load() {
				return errors.New("down")
			}
			return nil
		})
		step := func(d time.Duration, want ...time.Duration) {
			t.Helper()
			time.Sleep(d) // the bubble's clock
			synctest.Wait()
			var at []time.Duration
			for len(calls) > 0 {
				at = append(at, <-calls)
			}
			if !slices.Equal(at, want) {
				t.Fatalf("checked at %v, want %v", at, want)
			}
		}
		const s = time.Second
		step(29 * s)
		step(s, 30*s)
		step(10 * s)
		wake <- struct{}{}
		step(0, 40*s)
		step(29 * s) // the interval starts anew
		step(s, 70*s)
		down.Store(true)
		step(30*s, 100*s)
		step(3*s, 101*s, 102*s, 103*s)
		down.Store(false)
		step(s, 104*s)
		step(30*s, 134*s)
		cancel()
		synctest.Wait()
		step(time.Hour)
	})
}
