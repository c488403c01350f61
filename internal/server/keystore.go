package server

import (
	"context"
	"errors"
	"time"

	"livego/internal/keys"
)

// measuredKeys tells metrics how long the calls of a store take, and which fail.
type measuredKeys struct {
	keys.Store
	told func(took time.Duration, failed bool)
}

// since notes a call that began at a time.
func (k measuredKeys) since(begin time.Time, err error) {
	k.told(time.Since(begin), errors.Is(err, keys.ErrUnavailable))
}

func (k measuredKeys) Get(ctx context.Context, room string) (key string, err error) {
	defer func(begin time.Time) { k.since(begin, err) }(time.Now())
	return k.Store.Get(ctx, room)
}

func (k measuredKeys) Set(ctx context.Context, room, key string) (err error) {
	defer func(begin time.Time) { k.since(begin, err) }(time.Now())
	return k.Store.Set(ctx, room, key)
}

func (k measuredKeys) Reset(ctx context.Context, room string, keep bool) (key string, err error) {
	defer func(begin time.Time) { k.since(begin, err) }(time.Now())
	return k.Store.Reset(ctx, room, keep)
}

func (k measuredKeys) Delete(ctx context.Context, room string, keep bool) (err error) {
	defer func(begin time.Time) { k.since(begin, err) }(time.Now())
	return k.Store.Delete(ctx, room, keep)
}

func (k measuredKeys) Lease(ctx context.Context, key string) (lease *keys.Lease, err error) {
	defer func(begin time.Time) { k.since(begin, err) }(time.Now())
	return k.Store.Lease(ctx, key)
}

func (k measuredKeys) Has(ctx context.Context, room string) (is bool, err error) {
	defer func(begin time.Time) { k.since(begin, err) }(time.Now())
	return k.Store.Has(ctx, room)
}

func (k measuredKeys) Rooms(ctx context.Context, after string, limit int) (names []string, err error) {
	defer func(begin time.Time) { k.since(begin, err) }(time.Now())
	return k.Store.Rooms(ctx, after, limit)
}
