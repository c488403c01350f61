package keys

import (
	"maps"
	"sync"
	"time"
)

// maxAccepted bounds the keys that are remembered.
const maxAccepted = 10_000

// accepted remembers, by their digests, the keys that opened a lease lately, for the time that
// Redis is away. A lease that it opens is looked at, as all are, when Redis is back. The zero value
// remembers nothing.
type accepted struct {
	keep time.Duration

	mu   sync.Mutex
	keys map[digest]acceptedKey
}

type acceptedKey struct {
	room, epoch string
	at          time.Time
}

// add remembers a key that opened a lease.
func (a *accepted) add(key string, l *Lease) {
	if a.keep <= 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.keys == nil {
		a.keys = make(map[digest]acceptedKey)
	}
	if len(a.keys) >= maxAccepted {
		maps.DeleteFunc(a.keys, func(_ digest, k acceptedKey) bool { return time.Since(k.at) > a.keep })
	}
	if len(a.keys) < maxAccepted {
		a.keys[digestOf(key)] = acceptedKey{l.Room, l.epoch, time.Now()}
	}
}

// confirm notes that leases still hold, so that their keys were good just now.
func (a *accepted) confirm(held []*Lease) {
	if a.keep <= 0 {
		return
	}
	rooms := make(map[string]bool, len(held))
	for _, l := range held {
		if !l.isRevoked() {
			rooms[l.Room] = true
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for d, k := range a.keys {
		if rooms[k.room] {
			k.at = time.Now()
			a.keys[d] = k
		}
	}
}

// find returns the room of a key that was accepted lately, and the room's last revocation then.
func (a *accepted) find(key string) (room, epoch string, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	k, ok := a.keys[digestOf(key)]
	return k.room, k.epoch, ok && time.Since(k.at) <= a.keep
}

// forgetKey forgets a key that opens nothing any more.
func (a *accepted) forgetKey(key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.keys, digestOf(key))
}

// forgetRoom forgets the keys of a room whose leases may have been revoked.
func (a *accepted) forgetRoom(room string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.DeleteFunc(a.keys, func(_ digest, k acceptedKey) bool { return k.room == room })
}
