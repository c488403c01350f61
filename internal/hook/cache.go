package hook

import (
	"context"
	"sync"
	"time"
)

const (
	// maxAnswers bounds the answers that are kept.
	maxAnswers = 64 << 10
	// minTTL is the least time for which an answer is kept: viewers come back several times a
	// second.
	minTTL = time.Second
)

// Cache asks about the same thing once, and keeps the answer for its TTL. Its methods may be called
// from any goroutine.
type Cache struct {
	asker *Asker

	mu      sync.Mutex
	answers map[string]*kept
}

// kept is an answer, or a question that is under way. What it says holds once done is closed.
type kept struct {
	done     chan struct{}
	decision Decision
	err      error
	until    time.Time
}

// NewCache returns a cache in front of an asker.
func NewCache(asker *Asker) *Cache { return &Cache{asker: asker, answers: make(map[string]*kept)} }

// Answers counts what became of questions that were asked.
func (c *Cache) Answers() Answers { return c.asker.Answers() }

// Ask is Asker.Ask for what key names: whoever asks while the answer holds, or the question is
// under way, gets the same. That there was no answer is kept too, for a second. It fails with the
// cause of ctx when that ends first.
func (c *Cache) Ask(ctx context.Context, key string, q Question) (Decision, error) {
	k, mine := c.enter(key, time.Now())
	if mine {
		// Others wait for it too, so that it does not end with who was first.
		k.decision, k.err = c.asker.Ask(context.WithoutCancel(ctx), q)
		c.settle(k, time.Now())
	}
	select {
	case <-k.done:
		return k.decision, k.err
	case <-ctx.Done():
		return Decision{}, context.Cause(ctx)
	}
}

// enter returns the answer for a key, and whether the caller has to get it.
func (c *Cache) enter(key string, now time.Time) (k *kept, mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k = c.answers[key]; k != nil && (k.until.IsZero() || now.Before(k.until)) {
		return k, false
	}
	if len(c.answers) >= maxAnswers {
		c.makeRoom(now)
	}
	k = &kept{done: make(chan struct{})}
	c.answers[key] = k
	return k, true
}

// makeRoom forgets what does not hold any more, or else some of what does. The caller holds mu.
func (c *Cache) makeRoom(now time.Time) {
	for key, k := range c.answers {
		if !k.until.IsZero() && now.After(k.until) {
			delete(c.answers, key)
		}
	}
	for key := range c.answers {
		if len(c.answers) < maxAnswers*7/8 {
			return
		}
		delete(c.answers, key)
	}
}

func (c *Cache) settle(k *kept, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k.until = now.Add(max(k.decision.TTL, minTTL))
	close(k.done)
}
