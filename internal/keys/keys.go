// Package keys maps rooms to channel keys. A room is the public name of a stream; its channel key
// is the secret with which a publisher goes on air in it. Rooms and keys are separate name spaces:
// a room's name is never a key.
//
// OpenFile keeps them in a file for one node, OpenRedis in Redis for any number of nodes, NewMemory
// nowhere. All three obey the contract of Store and pass the same tests.
package keys

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"
)

// Errors of a Store, to be tested with errors.Is. No error text ever holds a key.
var (
	ErrNoRoom       = errors.New("no such room")
	ErrUnknownKey   = errors.New("unknown channel key")
	ErrKeyInUse     = errors.New("channel key is in use by another room")
	ErrBadKey       = errors.New("bad channel key")
	ErrBadRoom      = errors.New("bad room name")
	ErrTooManyRooms = errors.New("too many rooms")
	// ErrUnavailable wraps the cause: the storage is down, full or broken. The same call may
	// succeed later.
	ErrUnavailable = errors.New("key storage is unavailable")
)

// Store maps rooms to channel keys. Its methods may be called from any goroutine.
//
// Each method that takes a room takes any form of its name (CanonicalName, ErrBadRoom), and those
// that return one return the canonical form. When a change returns, the old key opens no further
// lease on any node. A change that does not keep also revokes every lease of the room, those that
// an earlier keep has spared included; leases on other nodes are revoked as soon as those hear of
// it.
type Store interface {
	// Get returns the room's key. A room without one is given a new key, the same one to all who
	// ask at once, on all nodes.
	Get(ctx context.Context, room string) (key string, err error)

	// Set gives the room a key that the operator chose: 16 to 128 of 0-9, a-z, A-Z and not the
	// room's name (ErrBadKey), and not another room's key (ErrKeyInUse). The leases on the key it
	// had before are revoked. Setting the key that the room has already changes nothing.
	Set(ctx context.Context, room, key string) error

	// Reset gives the room, known or not, a new key and revokes its leases unless keep is set.
	Reset(ctx context.Context, room string, keep bool) (key string, err error)

	// Delete forgets the room and its key and revokes its leases unless keep is set. ErrNoRoom if
	// there is no such room.
	Delete(ctx context.Context, room string, keep bool) error

	// Lease resolves the channel key of a publisher that goes on air. ErrUnknownKey if no room has
	// it. The caller must release the lease. A lease outlives an outage of the storage.
	Lease(ctx context.Context, key string) (*Lease, error)

	// Has reports whether there is such a room. It makes none.
	Has(ctx context.Context, room string) (bool, error)

	// Rooms returns up to limit names of rooms that follow after in byte order, "" being before all
	// of them.
	Rooms(ctx context.Context, after string, limit int) ([]string, error)

	// Close frees what the store holds and waits for its goroutines. Leases still held are neither
	// revoked nor watched any longer.
	Close() error
}

// Options configures a store. The zero value is usable.
type Options struct {
	// Log takes what no caller hears of, such as the loss and return of Redis; nil: nothing is
	// logged.
	Log *slog.Logger
	// MaxRooms bounds the rooms that calls may create, since anyone who may ask for a key creates
	// one; 0: DefaultMaxRooms.
	MaxRooms int
	// RedisAddr is as redisconn.Open takes it. For OpenRedis only.
	RedisAddr string
	// RedisPrefix begins all keys in Redis, as redisconn.Prefix takes it. For OpenRedis only.
	RedisPrefix string
	// CacheTime is for how long after a key was accepted here it is accepted while Redis is away;
	// 0: not at all. For OpenRedis only.
	CacheTime time.Duration
	// RedisPassword, if set, replaces that of a URL. For OpenRedis only.
	RedisPassword string

	// openFile, if set, opens files instead of the system; for tests.
	openFile func(name string, flag int, mode os.FileMode) (*os.File, error)
}

// DefaultMaxRooms is far above what one installation serves and keeps a file below some 300 MB with
// names of usual length.
const DefaultMaxRooms = 1_000_000

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxRooms <= 0 {
		o.MaxRooms = DefaultMaxRooms
	}
	return o
}

// MinKeyLength is the length of the shortest channel key, in bytes.
const MinKeyLength = 16

const (
	// keyLength is LiveGo's; 48 of 62 characters are 285 bits.
	keyLength = 48
	// A chosen key shorter than MinKeyLength could be guessed; maxKeyLength leaves room for keys of
	// other systems in a URL.
	maxKeyLength = 128

	alphanumerics = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// newKey makes a key of which every character is equally likely: bytes at or above the largest
// multiple of 62 are skipped.
func newKey() string {
	const unbiased = 256 - 256%len(alphanumerics)
	key := make([]byte, 0, keyLength)
	var random [keyLength]byte
	for len(key) < keyLength {
		rand.Read(random[:])
		for _, b := range random {
			if int(b) < unbiased && len(key) < keyLength {
				key = append(key, alphanumerics[int(b)%len(alphanumerics)])
			}
		}
	}
	return string(key)
}

// WellFormed reports whether key could be a channel key at all; others need no look-up.
func WellFormed(key string) bool {
	if len(key) < MinKeyLength || len(key) > maxKeyLength {
		return false
	}
	for _, b := range []byte(key) {
		if !keyByte(b) {
			return false
		}
	}
	return true
}

func keyByte(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
}

// Mask returns text with a placeholder for whatever in it could be a channel key, or part of one.
func Mask(text string) string {
	var masked strings.Builder
	for rest := text; rest != ""; {
		n := 0
		for n < len(rest) && keyByte(rest[n]) {
			n++
		}
		switch {
		case n >= MinKeyLength:
			fmt.Fprintf(&masked, "<%d characters>", n)
		case n == 0:
			n = 1
			fallthrough
		default:
			masked.WriteString(rest[:n])
		}
		rest = rest[n:]
	}
	return masked.String()
}

// checkChosen says why key cannot be a key that an operator gives to room.
func checkChosen(room, key string) error {
	switch {
	case !WellFormed(key):
		return reason(ErrBadKey, "it must be 16 to 128 of 0-9, a-z and A-Z")
	case key == room:
		return reason(ErrBadKey, "it is the room's name, which everyone knows")
	}
	return nil
}

// digest is what keys are indexed by, so that the time of a look-up tells nothing about the keys
// that exist.
type digest [sha256.Size]byte

func digestOf(key string) digest { return sha256.Sum256([]byte(key)) }
