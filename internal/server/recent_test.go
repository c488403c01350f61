package server

import (
	"testing"
	"time"
)

// TestRecent: what was noted is known for its life, the newest so many of it.
func TestRecent(t *testing.T) {
	now := time.Unix(1000, 0)
	clock := func() time.Time { return now }
	r := newRecent[string, int](3, 15*time.Second, clock)
	for i, key := range []string{"a", "b", "c"} {
		r.put(key, i)
		now = now.Add(time.Second)
	}
	r.put("a", 7) // again, and so the newest
	now = now.Add(time.Second)
	r.put("d", 3)
	value, at, ok := r.get("a")
	wantEqual(t, "the one that was noted again", value, 7)
	wantEqual(t, "when", at, time.Unix(1003, 0))
	wantEqual(t, "is there", ok, true)
	wantEqual(t, "the oldest one", r.has("b"), false)
	wantEqual(t, "another one", r.has("c"), true)
	r.forget("c")
	wantEqual(t, "forgotten", r.has("c"), false)

	now = time.Unix(1003, 0).Add(15*time.Second - 1)
	wantEqual(t, "at the end of its life", r.has("a"), true)
	now = now.Add(1)
	wantEqual(t, "after its life", r.has("a"), false)
	now = now.Add(time.Second)
	for _, key := range []string{"e", "f"} {
		r.put(key, 0)
	}
	wantEqual(t, "those that are over make room", len(r.of), 2)

	stay := newRecent[int, int](2, 0, clock)
	stay.put(1, 1)
	now = now.Add(1000 * time.Hour)
	wantEqual(t, "without a life", stay.has(1), true)
	for i := range 1000 {
		stay.put(i, i)
	}
	wantEqual(t, "all", len(stay.of), 2)
}
