package cluster

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"livego/internal/redisconn"
)

// tokens is the key of the tokens that are revoked. Rooms of which channel keys are revoked have
// keys that begin otherwise (keys).
func (r *redisRegistry) tokens() string { return r.prefix + ":tokens" }

// own does something with a key, and takes away what somebody else has in its place.
func (r *redisRegistry) own(ctx context.Context, key string, do func() error) error {
	err := do()
	if !redis.HasErrorPrefix(err, "WRONGTYPE") {
		return err
	}
	if err := r.client.Del(ctx, key).Err(); err != nil {
		return err
	}
	return do()
}

// forGood is the time of what is revoked for good, in Unix milliseconds.
const forGood = math.MaxInt32 * 1000

// Revoke implements Registry. What is over is forgotten with each call.
func (r *redisRegistry) Revoke(ctx context.Context, id string, until time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, redisconn.OpTimeout)
	defer cancel()
	at := int64(forGood)
	if !until.IsZero() {
		at = until.UnixMilli()
	}
	set, over := r.tokens(), strconv.FormatInt(time.Now().UnixMilli(), 10)
	err := r.own(ctx, set, func() error { return r.client.ZRemRangeByScore(ctx, set, "-inf", over).Err() })
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	n, err := r.client.ZCard(ctx, set).Result()
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	case n >= maxRevoked:
		return ErrManyRevoked
	}
	_, err = r.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.ZAdd(ctx, set, redis.Z{Score: float64(at), Member: id})
		p.Set(ctx, set+":version", time.Now().UnixNano(), 0) // another one than before, also after a loss of data
		return nil
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

// Revoked implements Registry. The version is read first: what changes meanwhile is read again.
func (r *redisRegistry) Revoked(ctx context.Context, known string) (map[string]time.Time, string, error) {
	ctx, cancel := context.WithTimeout(ctx, redisconn.OpTimeout)
	defer cancel()
	set := r.tokens()
	var version string
	err := r.own(ctx, set+":version", func() (err error) {
		version, err = r.client.Get(ctx, set+":version").Result()
		return err
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, known, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if version == known {
		return nil, version, nil
	}
	var list []redis.Z
	err = r.own(ctx, set, func() (err error) {
		list, err = r.client.ZRangeArgsWithScores(ctx, redis.ZRangeArgs{
			Key: set, Start: strconv.FormatInt(time.Now().UnixMilli(), 10), Stop: "+inf", ByScore: true, Count: maxRevoked,
		}).Result()
		return err
	})
	if err != nil {
		return nil, known, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	all := make(map[string]time.Time, len(list))
	for _, z := range list {
		id, _ := z.Member.(string)
		all[id] = time.Time{}
		if z.Score < forGood {
			all[id] = time.UnixMilli(int64(z.Score))
		}
	}
	return all, version, nil
}
