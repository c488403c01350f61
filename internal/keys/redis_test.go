package keys

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

const (
	oldKey1 = "rfBd56ti2SMtYvSgD5xAV0YU99zampta7Z7S575KLkIZ9PYk" // the best known key of LiveGo
	oldKey2 = "000000000000000000000000000000000000000000000002"
)

func wantUnavailable(t *testing.T, s Store, key string) {
	t.Helper()
	_, getErr := s.Get(t.Context(), "movie")
	_, resetErr := s.Reset(t.Context(), "movie", false)
	_, leaseErr := s.Lease(t.Context(), key)
	_, roomsErr := s.Rooms(t.Context(), "", 1)
	for _, err := range []error{getErr, resetErr, leaseErr, roomsErr, s.Set(t.Context(), "movie", key), s.Delete(t.Context(), "movie", false)} {
		if !errors.Is(err, ErrUnavailable) || strings.Contains(err.Error(), key) {
			t.Errorf("%v, want ErrUnavailable without the key", err)
		}
	}
}

// forEachRedis runs the test on both Redis servers, each with data from LiveGo: a list of SET
// commands.
func forEachRedis(t *testing.T, data [][2]string, test func(t *testing.T, s Store, c *redis.Client)) {
	for _, backend := range backends()[2:] {
		t.Run(backend.name, func(t *testing.T) {
			t.Parallel()
			s, _ := backend.open(t, Options{Log: testLog(t)})
			c := s.(*redisStore).client.(*redis.Client)
			for _, kv := range data {
				if err := c.Set(t.Context(), kv[0], kv[1], 0).Err(); err != nil {
					t.Fatal(err)
				}
			}
			test(t, s, c)
		})
	}
}

// wantEntries checks which of LiveGo's entries are left.
func wantEntries(t *testing.T, c *redis.Client, names ...string) {
	t.Helper()
	var got []string
	for _, name := range []string{"movie", "other", oldKey1, oldKey2} {
		if c.Exists(t.Context(), name).Val() == 1 {
			got = append(got, name)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(names) {
		t.Errorf("old entries %q, want %q", got, names)
	}
}

func pair(room, key string) [][2]string { return [][2]string{{room, key}, {key, room}} }

func TestRedisLayout(t *testing.T) {
	forEachRedis(t, nil, func(t *testing.T, s Store, c *redis.Client) {
		set(t, s, "a/b", "abcdefghijklmnop")
		const hash = "f39dac6cbaba535e2c207cd0cd8f154974223c848f727f98b3564cea569b41cf"
		ctx := t.Context()
		if got := c.HGetAll(ctx, "{livego}:room:a/b").Val(); fmt.Sprint(got) != fmt.Sprint(map[string]string{"key": "abcdefghijklmnop", "hash": hash}) {
			t.Errorf("room entry %v", got)
		}
		if got := c.Get(ctx, "{livego}:key:"+hash).Val(); got != "a/b" {
			t.Errorf("key entry %q", got)
		}
		del(t, s, "a/b", false)
		if got := c.Keys(ctx, "*").Val(); fmt.Sprint(got) != "[{livego}:revoked:a/b]" {
			t.Errorf("left after delete: %q", got)
		}
		if ttl := c.TTL(ctx, "{livego}:revoked:a/b").Val(); ttl < 6*24*time.Hour || ttl > 7*24*time.Hour {
			t.Errorf("the revocation stays for %v", ttl)
		}
	})
}

func TestOldLayoutIsReadThrough(t *testing.T) {
	forEachRedis(t, append(pair("movie", oldKey1), pair("other", oldKey2)...), func(t *testing.T, s Store, c *redis.Client) {
		lease(t, s, oldKey1, "movie")
		if get(t, s, "other") != oldKey2 {
			t.Error("get made a new key")
		}
		if rooms, err := s.Rooms(t.Context(), "", 9); err != nil || fmt.Sprint(rooms) != "[movie other]" {
			t.Errorf("rooms %q, %v", rooms, err)
		}
		wantEntries(t, c, "movie", "other", oldKey1, oldKey2)
		// The new layout now holds both, so the old one is not needed any longer.
		c.Del(t.Context(), "movie", "other", oldKey1, oldKey2)
		if get(t, s, "movie") != oldKey1 {
			t.Error("the room was not moved")
		}
		lease(t, s, oldKey2, "other")
	})
}

func TestResetRemovesTheOldPair(t *testing.T) {
	for _, used := range []bool{false, true} {
		t.Run(fmt.Sprint("used=", used), func(t *testing.T) {
			forEachRedis(t, append(pair("movie", oldKey1), pair("other", oldKey2)...), func(t *testing.T, s Store, c *redis.Client) {
				if used {
					lease(t, s, oldKey1, "movie")
				}
				fresh := reset(t, s, "movie", false)
				wantUnknown(t, oldKey1, s)
				lease(t, s, fresh, "movie")
				wantEntries(t, c, "other", oldKey2)
			})
		})
	}
}

func TestDeleteRemovesTheOldPair(t *testing.T) {
	for _, used := range []bool{false, true} {
		t.Run(fmt.Sprint("used=", used), func(t *testing.T) {
			forEachRedis(t, pair("movie", oldKey1), func(t *testing.T, s Store, c *redis.Client) {
				if used {
					get(t, s, "movie")
				}
				del(t, s, "movie", false)
				wantUnknown(t, oldKey1, s)
				wantEntries(t, c)
				if err := s.Delete(t.Context(), "movie", false); !errors.Is(err, ErrNoRoom) {
					t.Errorf("second delete: %v, want ErrNoRoom", err)
				}
			})
		})
	}
}

// What LiveGo's reset and delete left behind (defect 1), and what another program keeps in the same
// database, opens nothing.
func TestOldEntriesThatAreNoPairMeanNothing(t *testing.T) {
	tests := map[string][][2]string{
		"key of before a reset":  append(pair("movie", oldKey2), [2]string{oldKey1, "movie"}),
		"key of a deleted room":  {{oldKey1, "movie"}},
		"room without key entry": {{"movie", oldKey1}},
		"key entry of another":   {{"movie", oldKey1}, {oldKey1, "other"}},
		"short key":              pair("movie", "abcdefghijklmnop"),
		"two keys":               pair(oldKey2, oldKey1),
	}
	for name, data := range tests {
		t.Run(name, func(t *testing.T) {
			forEachRedis(t, data, func(t *testing.T, s Store, c *redis.Client) {
				wantUnknown(t, oldKey1, s)
				wantUnknown(t, "abcdefghijklmnop", s)
				if name == "two keys" {
					wantUnknown(t, oldKey2, s)
				}
				if key := get(t, s, "movie"); key == oldKey1 || key == "abcdefghijklmnop" {
					t.Error("get believed it")
				}
			})
		})
	}
}

func TestOldLayoutAmongForeignTypes(t *testing.T) {
	forEachRedis(t, nil, func(t *testing.T, s Store, c *redis.Client) {
		c.HSet(t.Context(), "movie", "field", "value")
		c.LPush(t.Context(), oldKey1, "movie")
		wantUnknown(t, oldKey1, s)
		key := get(t, s, "movie")
		reset(t, s, "movie", false)
		set(t, s, "movie", oldKey1)
		del(t, s, "movie", false)
		wantUnknown(t, key, s)
		wantEntries(t, c, "movie", oldKey1)
	})
}

// Once moved, a room is read from the new layout only, so LiveGo on the same Redis cannot bring a
// revoked key back.
func TestOldEntriesOfAMovedRoomMeanNothing(t *testing.T) {
	forEachRedis(t, pair("movie", oldKey1), func(t *testing.T, s Store, c *redis.Client) {
		key := reset(t, s, "movie", false)
		for _, kv := range pair("movie", oldKey2) {
			c.Set(t.Context(), kv[0], kv[1], 0)
		}
		wantUnknown(t, oldKey2, s)
		if get(t, s, "movie") != key {
			t.Error("the old layout won")
		}
	})
}

func TestSetKnowsKeysOfTheOldLayout(t *testing.T) {
	forEachRedis(t, pair("movie", oldKey1), func(t *testing.T, s Store, c *redis.Client) {
		if err := s.Set(t.Context(), "other", oldKey1); !errors.Is(err, ErrKeyInUse) {
			t.Errorf("key of another room: %v, want ErrKeyInUse", err)
		}
		lease(t, s, oldKey1, "movie")
		set(t, s, "movie", oldKey2)
		wantUnknown(t, oldKey1, s)
		wantEntries(t, c)
		set(t, s, "other", oldKey1)
		lease(t, s, oldKey1, "other")
	})
}

func TestOldRoomWithAnUnusableName(t *testing.T) {
	forEachRedis(t, pair("../../pwned", oldKey1), func(t *testing.T, s Store, c *redis.Client) {
		if l, err := s.Lease(t.Context(), oldKey1); !errors.Is(err, ErrBadRoom) || l != nil || strings.Contains(err.Error(), oldKey1) {
			t.Errorf("lease = %v, %v, want ErrBadRoom", l, err)
		}
		if rooms, err := s.Rooms(t.Context(), "", 9); err != nil || len(rooms) != 0 {
			t.Errorf("rooms %q, %v", rooms, err)
		}
	})
}

func TestParallelMoves(t *testing.T) {
	forEachRedis(t, pair("movie", oldKey1), func(t *testing.T, s Store, c *redis.Client) {
		var done sync.WaitGroup
		for range 8 {
			done.Go(func() {
				key, err := s.Get(t.Context(), "movie")
				if err != nil || key != oldKey1 {
					t.Errorf("get: %v", err)
				}
				l, err := s.Lease(t.Context(), oldKey1)
				if err != nil {
					t.Error(err)
					return
				}
				l.Release()
			})
		}
		done.Wait()
	})
}

// The message of a revocation got lost; the token is there.
func TestLostMessage(t *testing.T) {
	forEachRedis(t, nil, func(t *testing.T, s Store, c *redis.Client) {
		l, other := lease(t, s, get(t, s, "movie"), "movie"), lease(t, s, get(t, s, "other"), "other")
		c.Set(t.Context(), "{livego}:revoked:movie", "token", 0)
		settle(t, s)
		wantRevoked(t, l)
		wantHeld(t, other)
	})
}

func TestForgedMessageRevokesNothing(t *testing.T) {
	forEachRedis(t, nil, func(t *testing.T, s Store, c *redis.Client) {
		l := lease(t, s, get(t, s, "movie"), "movie")
		c.Publish(t.Context(), "{livego}:revoked", "movie")
		settle(t, s)
		wantHeld(t, l)
	})
}

func TestManyLeasesAreChecked(t *testing.T) {
	forEachRedis(t, nil, func(t *testing.T, s Store, c *redis.Client) {
		key := get(t, s, "movie")
		all := make([]*Lease, 0, 2*mgetSize+1)
		for range cap(all) {
			all = append(all, s.(*redisStore).leases.add("movie", ""))
		}
		all = append(all, lease(t, s, key, "movie"))
		reset(t, s, "movie", false)
		for _, l := range all {
			wantRevoked(t, l)
		}
	})
}

// Redis came back without its data: nobody on air is told to leave.
func TestLeasesOutliveTheLossOfData(t *testing.T) {
	forEachRedis(t, nil, func(t *testing.T, s Store, c *redis.Client) {
		reset(t, s, "movie", false)
		l := lease(t, s, get(t, s, "movie"), "movie")
		c.FlushAll(t.Context())
		settle(t, s)
		wantHeld(t, l)
		reset(t, s, "movie", false)
		wantRevoked(t, l)
	})
}

func TestRedisIsDownAtTheStart(t *testing.T) {
	t.Parallel()
	addr, dir := freeAddr(t), t.TempDir()
	s := openRedis(t, Options{RedisAddr: addr, Log: testLog(t)})
	wantUnavailable(t, s, newKey())
	startRedis(t, dir, addr)
	var key string
	eventually(t, "recovery", func() (ok bool) {
		var err error
		key, err = s.Get(t.Context(), "movie")
		return err == nil
	})
	lease(t, s, key, "movie")
}

func TestRedisOutage(t *testing.T) {
	t.Parallel()
	addr, dir := freeAddr(t), t.TempDir()
	server := startRedis(t, dir, addr)
	log := &syncBuffer{}
	s := openRedis(t, Options{RedisAddr: addr, Log: slog.New(slog.NewTextHandler(log, nil))})
	film, other := get(t, s, "film"), get(t, s, "other")
	onFilm, onOther := lease(t, s, film, "film"), lease(t, s, other, "other")

	server.kill()
	wantUnavailable(t, s, film)
	eventually(t, "warning", func() bool { return strings.Contains(log.String(), "redis is unreachable") })
	wantHeld(t, onFilm)
	wantHeld(t, onOther)

	// While this node is still cut off, another one revokes.
	otherAddr := freeAddr(t)
	server = startRedis(t, dir, otherAddr)
	reset(t, openRedis(t, Options{RedisAddr: otherAddr}), "film", false)
	server.kill()
	wantHeld(t, onFilm)

	startRedis(t, dir, addr)
	wantRevoked(t, onFilm)
	wantUnknown(t, film, s)
	lease(t, s, other, "other")
	wantHeld(t, onOther)
	eventually(t, "all-clear", func() bool { return strings.Contains(log.String(), "redis is back") })
	if n := strings.Count(log.String(), "\n"); n != 2 || strings.Contains(log.String(), film) {
		t.Errorf("%d lines:\n%s", n, log)
	}
}

// Who was on air lately may come again while Redis is away, and nobody else; one whose key is
// revoked meanwhile leaves when Redis is back.
func TestAcceptedKeysOutliveAnOutage(t *testing.T) {
	t.Parallel()
	addr, dir := freeAddr(t), t.TempDir()
	server := startRedis(t, dir, addr)
	s := openRedis(t, Options{RedisAddr: addr, CacheTime: time.Hour, Log: testLog(t)})
	film, other, deleted := get(t, s, "film"), get(t, s, "other"), get(t, s, "deleted")
	for _, key := range []string{film, deleted} {
		l, err := s.Lease(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		l.Release()
	}
	del(t, s, "deleted", false)

	server.kill()
	l := lease(t, s, film, "film")
	for _, key := range []string{other, deleted, newKey()} {
		if l, err := s.Lease(t.Context(), key); !errors.Is(err, ErrUnavailable) || l != nil {
			t.Errorf("a key that was not accepted opens %v, %v", l, err)
		}
	}
	otherAddr := freeAddr(t)
	server = startRedis(t, dir, otherAddr)
	reset(t, openRedis(t, Options{RedisAddr: otherAddr}), "film", false)
	server.kill()
	startRedis(t, dir, addr)
	wantRevoked(t, l)
	wantUnknown(t, film, s)
}

// A server that takes connections and stays silent must not hold up a call for longer than it may
// take.
func TestMuteRedis(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := openRedis(t, Options{RedisAddr: l.Addr().String()})
	start := time.Now()
	if _, err := s.Get(t.Context(), "movie"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("get: %v", err)
	}
	if took := time.Since(start); took > 5*opTimeout {
		t.Errorf("get took %v", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Lease(ctx, newKey()); !errors.Is(err, context.Canceled) || !errors.Is(err, ErrUnavailable) {
		t.Errorf("lease with an ended context: %v", err)
	}
}

func TestRedisPassword(t *testing.T) {
	t.Parallel()
	m := miniredis.RunT(t)
	m.RequireAuth("s3cret")
	for _, o := range []Options{
		{RedisAddr: m.Addr(), RedisPassword: "s3cret"},
		{RedisAddr: "redis://:s3cret@" + m.Addr()},
		{RedisAddr: "redis://:wrong@" + m.Addr() + "/0", RedisPassword: "s3cret"},
	} {
		get(t, openRedis(t, o), "movie")
	}
	_, err := openRedis(t, Options{RedisAddr: m.Addr(), RedisPassword: "wr0ng"}).Get(t.Context(), "movie")
	if !errors.Is(err, ErrUnavailable) || strings.Contains(err.Error(), "wr0ng") {
		t.Errorf("wrong password: %v", err)
	}
}

func TestRedisAddressIsChecked(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"", "localhost", "localhost:", "http://u:s3cret@h:1", "redis://u:s3cret@h:1/x", "redis://u:s3cret@h:1?what=1", "s3cret@h"} {
		if s, err := OpenRedis(Options{RedisAddr: addr}); s != nil || err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v, %v", addr, s, err)
		}
	}
}

// Redis repeats the arguments of a command that it does not know, as happens to scripts on servers
// that forbid them.
func TestKeysStayOutOfErrors(t *testing.T) {
	t.Parallel()
	addr := freeAddr(t)
	startRedis(t, t.TempDir(), addr, "--rename-command", "EVALSHA", "")
	s := openRedis(t, Options{RedisAddr: addr, Log: testLog(t)})
	_, leaseErr := s.Lease(t.Context(), oldKey1)
	for _, err := range []error{leaseErr, s.Set(t.Context(), "movie", oldKey1)} {
		if !errors.Is(err, ErrUnavailable) || strings.Contains(err.Error(), oldKey1) || !strings.Contains(err.Error(), "unknown command") {
			t.Errorf("%v, want ErrUnavailable without the key", err)
		}
	}
}

func TestClosedRedisIsUnavailable(t *testing.T) {
	t.Parallel()
	s, err := OpenRedis(Options{RedisAddr: miniredis.RunT(t).Addr()})
	if err != nil {
		t.Fatal(err)
	}
	l := lease(t, s, get(t, s, "movie"), "movie")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantUnavailable(t, s, newKey())
	wantHeld(t, l)
}

func TestUnixSocket(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "s")
	startRedis(t, t.TempDir(), freeAddr(t), "--unixsocket", socket)
	get(t, openRedis(t, Options{RedisAddr: "unix://" + socket}), "movie")
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
