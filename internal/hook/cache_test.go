package hook

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestCacheAsksOnce: many who ask about the same are one question, and another thing is another
// question.
func TestCacheAsksOnce(t *testing.T) {
	var asked atomic.Int64
	free := make(chan struct{})
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		<-free
		fmt.Fprint(w, `{"allow":true,"ttl":3600}`)
	}))
	defer receiver.Close()
	asker, err := NewAsker(receiver.URL, nil, time.Minute, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := NewCache(asker)
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			if d, err := c.Ask(t.Context(), fmt.Sprint(i%2), Question{ID: "q"}); err != nil || !d.Allow {
				t.Errorf("%+v, %v", d, err)
			}
		})
	}
	close(free)
	all.Wait()
	if n := asked.Load(); n != 2 {
		t.Errorf("%d questions", n)
	}
}

// TestCacheForgets: answers hold for their TTL, failures for a second, and there are never too
// many.
func TestCacheForgets(t *testing.T) {
	c := NewCache(nil)
	now := time.Now()
	for _, k := range []struct {
		ttl, hold time.Duration
	}{{0, minTTL}, {time.Minute, time.Minute}} {
		name := k.ttl.String()
		first, mine := c.enter(name, now)
		if !mine {
			t.Fatalf("%s is there already", name)
		}
		if again, mine := c.enter(name, now); mine || again != first {
			t.Errorf("%s is asked twice", name)
		}
		first.decision.TTL = k.ttl
		c.settle(first, now)
		if _, mine := c.enter(name, now.Add(k.hold-1)); mine {
			t.Errorf("%s is forgotten", name)
		}
		if _, mine := c.enter(name, now.Add(k.hold)); !mine {
			t.Errorf("%s is kept", name)
		}
	}
	for i := range 2 * maxAnswers {
		k, _ := c.enter(fmt.Sprint(i), now)
		c.settle(k, now)
	}
	if len(c.answers) > maxAnswers {
		t.Errorf("%d answers", len(c.answers))
	}
}
