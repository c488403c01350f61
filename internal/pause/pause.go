// Package pause waits for a while, or until nobody wants that any more.
package pause

import (
	"context"
	"time"
)

// For waits for a duration, and returns the cause of ctx's end if that comes first. It does not
// wait for one that is 0 or less.
func For(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
