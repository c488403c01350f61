package keys

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
)

// interrupted is a node that another one gets in between: afterFirst runs something once a script
// has run and before its caller sees the reply.
type interrupted struct {
	*redisStore
	mu     sync.Mutex
	script *redis.Script
	do     func()
}

func (n *interrupted) afterFirst(script *redis.Script, do func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.script, n.do = script, do
}

func (n *interrupted) DialHook(next redis.DialHook) redis.DialHook { return next }

func (n *interrupted) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (n *interrupted) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if err != nil || cmd.Name() != "evalsha" {
			return err
		}
		n.mu.Lock()
		do := n.do
		if do != nil && cmd.Args()[1] == n.script.Hash() {
			n.do = nil
		} else {
			do = nil
		}
		n.mu.Unlock()
		if do != nil {
			do()
		}
		return nil
	}
}

// forEachInterrupted runs the test on both Redis servers, with all scripts loaded.
func forEachInterrupted(t *testing.T, test func(t *testing.T, a *interrupted, b Store)) {
	for _, backend := range backends()[2:] {
		t.Run(backend.name, func(t *testing.T) {
			t.Parallel()
			_, b := backend.open(t, Options{Log: testLog(t)})
			c := b.(*redisStore).client
			s, err := newRedisStore(Options{RedisAddr: c.(*redis.Client).Options().Addr, Log: testLog(t), MaxRooms: 9})
			if err != nil {
				t.Fatal(err)
			}
			a := &interrupted{redisStore: s}
			s.client.AddHook(a)
			s.start()
			closeAfter(t, s, nil)
			for _, script := range []*redis.Script{s.get, s.set, s.delete, s.lease, s.migrate} {
				if err := script.Load(t.Context(), c).Err(); err != nil {
					t.Fatal(err)
				}
			}
			test(t, a, b)
		})
	}
}

// The message of the revocation reaches a node that has resolved the key but does not hold the
// lease yet.
func TestRevocationDuringLease(t *testing.T) {
	forEachInterrupted(t, func(t *testing.T, a *interrupted, b Store) {
		key := get(t, a, "movie")
		a.afterFirst(a.lease, func() { reset(t, b, "movie", false) })
		wantUnknown(t, key, a)
		if held := a.leases.all(); len(held) != 0 {
			t.Errorf("%d leases are left", len(held))
		}
	})
}

func TestChangeThatKeepsDuringLease(t *testing.T) {
	forEachInterrupted(t, func(t *testing.T, a *interrupted, b Store) {
		key := get(t, a, "movie")
		a.afterFirst(a.lease, func() { reset(t, b, "movie", true) })
		wantHeld(t, lease(t, a, key, "movie"))
	})
}

// Another node resets the room, and LiveGo on the same Redis stores its pair again, while this node
// moves it.
func TestResetDuringMove(t *testing.T) {
	for _, writeBack := range []bool{false, true} {
		t.Run(fmt.Sprint("writeBack=", writeBack), func(t *testing.T) {
			forEachInterrupted(t, func(t *testing.T, a *interrupted, b Store) {
				c := b.(*redisStore).client
				old := func() {
					for _, kv := range pair("movie", oldKey1) {
						c.Set(t.Context(), kv[0], kv[1], 0)
					}
				}
				for name, script := range map[string]*redis.Script{"get": a.get, "lease": a.lease} {
					c.FlushDB(t.Context())
					old()
					var fresh string
					a.afterFirst(script, func() {
						fresh = reset(t, b, "movie", false)
						if writeBack {
							old()
						}
					})
					if name == "lease" {
						wantUnknown(t, oldKey1, a)
					}
					if got := get(t, a, "movie"); got != fresh {
						t.Errorf("%s: the revoked key came back: %v", name, got == oldKey1)
					}
					wantUnknown(t, oldKey1, a, b)
				}
			})
		})
	}
}

func TestDeleteDuringMove(t *testing.T) {
	forEachInterrupted(t, func(t *testing.T, a *interrupted, b Store) {
		store := func() {
			for _, kv := range pair("movie", oldKey1) {
				a.client.Set(t.Context(), kv[0], kv[1], 0)
			}
		}
		store()
		a.afterFirst(a.lease, func() { del(t, b, "movie", false) })
		wantUnknown(t, oldKey1, a)
		store()
		a.afterFirst(a.get, func() { del(t, b, "movie", false) })
		if get(t, a, "movie") == oldKey1 {
			t.Error("the revoked key came back")
		}
	})
}

// A room that never comes to rest must not keep a call going for ever.
func TestMovesAreBounded(t *testing.T) {
	forEachInterrupted(t, func(t *testing.T, a *interrupted, b Store) {
		a.migrate = a.get // moves nothing
		for _, kv := range pair("movie", oldKey1) {
			a.client.Set(t.Context(), kv[0], kv[1], 0)
		}
		if _, err := a.Lease(t.Context(), oldKey1); !errors.Is(err, ErrUnavailable) {
			t.Errorf("lease: %v, want ErrUnavailable", err)
		}
	})
}
