package watch

import (
	"sync"
	"time"
)

// listAge is for how long a list of streams is good: to make one looks at all streams, and anybody
// may ask for it.
const listAge = time.Second

// list is what is on air, made at most once in listAge.
type list struct {
	mu      sync.Mutex
	made    time.Time
	current streamList
}

// streamList is the JSON of the list. It never changes. The streams have no URLs, which depend on
// who asks.
type streamList struct {
	Streams []Status `json:"streams"`
}

// get returns the list.
func (l *list) get(streams Streams) streamList {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); l.made.IsZero() || now.Sub(l.made) >= listAge {
		l.made, l.current = now, streamList{Streams: streams.OnAir()}
		if l.current.Streams == nil {
			l.current.Streams = []Status{}
		}
	}
	return l.current
}
