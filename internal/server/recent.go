package server

import (
	"sync"
	"time"
)

// recent is what was noted not long ago, at most so many entries: a new one takes the place of the
// oldest. Its methods may be called from any goroutine.
type recent[K comparable, V any] struct {
	most int
	life time.Duration // 0: entries stay
	now  func() time.Time

	mu sync.Mutex
	of map[K]remembered[V]
}

type remembered[V any] struct {
	value V
	at    time.Time
}

// newRecent makes one for at most so many entries, each of which is forgotten after its life; 0:
// never. now is the clock.
func newRecent[K comparable, V any](most int, life time.Duration, now func() time.Time) *recent[K, V] {
	return &recent[K, V]{most: most, life: life, now: now, of: make(map[K]remembered[V])}
}

// put notes a value, in place of that before.
func (r *recent[K, V]) put(key K, value V) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, there := r.of[key]; !there && len(r.of) >= r.most {
		r.drop()
	}
	r.of[key] = remembered[V]{value, r.now()}
}

// drop makes room: for all that are over, or the oldest one. The caller holds mu.
func (r *recent[K, V]) drop() {
	now := r.now()
	var oldest K
	var first time.Time
	for key, n := range r.of {
		if r.over(n, now) {
			delete(r.of, key)
		} else if first.IsZero() || n.at.Before(first) {
			oldest, first = key, n.at
		}
	}
	if len(r.of) >= r.most {
		delete(r.of, oldest)
	}
}

func (r *recent[K, V]) over(n remembered[V], now time.Time) bool {
	return r.life > 0 && now.Sub(n.at) >= r.life
}

// get returns the value of a key, and when it was noted.
func (r *recent[K, V]) get(key K) (value V, at time.Time, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, ok := r.of[key]
	if !ok || r.over(n, r.now()) {
		return value, time.Time{}, false
	}
	return n.value, n.at, true
}

// has says whether there is a value.
func (r *recent[K, V]) has(key K) bool {
	_, _, ok := r.get(key)
	return ok
}

// forget takes a value away.
func (r *recent[K, V]) forget(key K) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.of, key)
}

// forgetIf takes a value away if it is one of those.
func (r *recent[K, V]) forgetIf(key K, is func(V) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n, ok := r.of[key]; ok && is(n.value) {
		delete(r.of, key)
	}
}
