package server

import (
	"sync"
	"time"
)

const (
	// endingTold is for how long pages are told of a stream that it has ended; then it is one that
	// is not there.
	endingTold = 15 * time.Second
	// maxEndings bounds the streams of which that is known.
	maxEndings = 4096
)

// endings are the streams that ended a moment ago. Its methods may be called from any goroutine.
type endings struct {
	mu    sync.Mutex
	until map[string]time.Time // by the stream's key
}

func newEndings() *endings { return &endings{until: make(map[string]time.Time)} }

// add notes that a stream has ended.
func (e *endings) add(stream string, now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for s, until := range e.until {
		if now.After(until) {
			delete(e.until, s)
		}
	}
	if len(e.until) < maxEndings {
		e.until[stream] = now.Add(endingTold)
	}
}

// has says whether a stream has ended a moment ago.
func (e *endings) has(stream string, now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	until, ok := e.until[stream]
	return ok && now.Before(until)
}
