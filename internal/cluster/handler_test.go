package cluster

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestHandlerIsBounded: a node gives others so many streams at a time, and takes so many publishers
// of theirs; one more is told to come back.
func TestHandlerIsBounded(t *testing.T) {
	secret := Secret{[]byte(strings.Repeat("s", MinSecret))}
	h := NewHandler("me", secret, Services{
		Feed:   func(context.Context, Request) (Outlet, error) { return Outlet{}, ErrElsewhere },
		HomeOf: func(context.Context, string) string { return "" },
	}, nil)
	for path, c := range map[string]struct {
		method   string
		count    *atomic.Int64
		most     int64
		answered int
	}{
		"/feed/live/movie":    {http.MethodGet, &h.feeds, maxFeeds, http.StatusNotFound},
		"/publish/live/movie": {http.MethodPost, &h.publishers, maxPublishers, http.StatusUpgradeRequired},
	} {
		for there, want := range map[int64]int{c.most - 1: c.answered, c.most: http.StatusServiceUnavailable} {
			c.count.Store(there)
			r, w := httptest.NewRequest(c.method, "http://h"+path, nil), httptest.NewRecorder()
			secret.Sign(r, "n", "me", time.Now())
			h.ServeHTTP(w, r)
			if w.Code != want || (want == http.StatusServiceUnavailable) != (w.Header().Get("Retry-After") != "") || c.count.Load() != there {
				t.Errorf("%s with %d there: %d %v, %d are left", path, there, w.Code, w.Header(), c.count.Load())
			}
		}
	}
}
