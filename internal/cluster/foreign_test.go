package cluster

import (
	"context"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"livego/internal/redisconn"
)

// TestForeignKeys: keys of somebody else, of any type and with anything in them, in place of each
// of ours, hold nothing up.
func TestForeignKeys(t *testing.T) {
	for name, start := range map[string]func(*testing.T) string{
		"miniredis":    func(t *testing.T) string { return miniredis.RunT(t).Addr() },
		"redis-server": redisServer,
	} {
		t.Run(name, func(t *testing.T) {
			b := onRedis(t, start(t))
			client, err := redisconn.Open(b.Registry.(*redisRegistry).client.(*redis.Client).Options().Addr, "")
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			prefix := b.Registry.(*redisRegistry).prefix
			foreign := map[string]func(ctx context.Context, key string) error{
				"list": func(ctx context.Context, key string) error { return client.RPush(ctx, key, "x").Err() },
				"text": func(ctx context.Context, key string) error { return client.Set(ctx, key, "\x00{", 0).Err() },
				"hash": func(ctx context.Context, key string) error {
					return client.HSet(ctx, key, "node", "a", "boot", "a-1", "token", "1e300", "since", "x", "hand", "{").Err()
				},
				"zset": func(ctx context.Context, key string) error {
					return client.ZAdd(ctx, key, redis.Z{Score: 1e18, Member: "live/x y"}).Err()
				},
				"set":   func(ctx context.Context, key string) error { return client.SAdd(ctx, key, "", "x y").Err() },
				"large": func(ctx context.Context, key string) error { return client.Set(ctx, key, "1e300", 0).Err() },
			}
			for what, put := range foreign {
				b.flush()
				for _, key := range []string{":node:a", ":node:a:info", ":node:b:info", ":nodes", ":stream:live/movie", ":streams", ":fence", ":tokens", ":tokens:version"} {
					if err := put(t.Context(), prefix+key); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := b.Lookup(t.Context(), "live/movie"); err != ErrNotFound {
					t.Errorf("%s: lookup of what nobody has: %v", what, err)
				}
				beat(t, b, node("a"))
				first := claim(t, b, "live/movie", node("a"))
				wantHome(t, b, "live/movie", "a")
				beat(t, b, node("a"), Held{Stream: "live/movie", Token: first.Claim.Token})
				if nodes, err := b.Nodes(t.Context()); err != nil || len(nodes) != 1 || nodes[0].ID != "a" || !nodes[0].Alive {
					t.Errorf("%s: nodes %+v, %v", what, nodes, err)
				}
				if all, err := b.Streams(t.Context(), 10); err != nil || len(all) != 1 || all[0].Stream != "live/movie" {
					t.Errorf("%s: streams %+v, %v", what, all, err)
				}
				if err := b.Free(t.Context(), "live/movie", node("a"), first.Claim.Token, Hand{Segment: 7}); err != nil {
					t.Errorf("%s: free: %v", what, err)
				}
				if all, _, err := b.Revoked(t.Context(), ""); err != nil {
					t.Errorf("%s: revoked: %v, %v", what, all, err)
				}
				if err := b.Revoke(t.Context(), "token", time.Time{}); err != nil {
					t.Errorf("%s: revoke: %v", what, err)
				}
				all, _, err := b.Revoked(t.Context(), "")
				if until, has := all["token"]; err != nil || !has || !until.IsZero() {
					t.Errorf("%s: revoked: %v, %v", what, all, err)
				}
				second := claim(t, b, "live/movie", node("b"))
				if second.Claim.Token <= first.Claim.Token || second.Claim.Hand.Segment != 7 {
					t.Errorf("%s: %+v after %+v", what, second.Claim, first.Claim)
				}
			}
		})
	}
}
