package keys

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// model is what a store should do, without storage.
type model struct {
	s      Store
	rooms  map[string]string // room → key
	known  []string          // keys that exist or have existed
	leases map[*Lease]bool   // → revoked
}

// Any sequence of calls has the results that the contract says.
func TestStoreBehavesLikeAMap(t *testing.T) {
	forEachBackend(t, Options{MaxRooms: 3}, func(t *testing.T, a, _ Store) {
		rapid.Check(t, func(rt *rapid.T) {
			m := &model{s: a, rooms: map[string]string{}, leases: map[*Lease]bool{}}
			m.known = []string{"operatorsOwnKey1", "operatorsOwnKey2", newKey()}
			defer m.clear(t)
			rt.Repeat(map[string]func(*rapid.T){
				"get":     m.get,
				"set":     m.set,
				"reset":   m.reset,
				"delete":  m.delete,
				"lease":   m.lease,
				"release": m.release,
				"":        func(rt *rapid.T) { m.check(t, rt) },
			})
		})
	})
}

func (m *model) room(rt *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "b", "c/d", "e"}).Draw(rt, "room")
}

// full says whether the room would be one too many, and checks the error if so.
func (m *model) full(rt *rapid.T, room string, err error) bool {
	if _, ok := m.rooms[room]; ok || len(m.rooms) < 3 {
		return false
	}
	if !errors.Is(err, ErrTooManyRooms) {
		rt.Fatalf("room %q: %v, want ErrTooManyRooms", room, err)
	}
	return true
}

func (m *model) revoke(room string) {
	for l := range m.leases {
		if l.Room == room {
			m.leases[l] = true
		}
	}
}

func (m *model) get(rt *rapid.T) {
	room := m.room(rt)
	key, err := m.s.Get(rt.Context(), room)
	if m.full(rt, room, err) {
		return
	}
	if old, ok := m.rooms[room]; err != nil || ok && key != old {
		rt.Fatalf("get %q: %v", room, err)
	}
	m.rooms[room] = key
	m.known = append(m.known, key)
}

func (m *model) set(rt *rapid.T) {
	room, key := m.room(rt), rapid.SampledFrom(m.known).Draw(rt, "key")
	err := m.s.Set(rt.Context(), room, key)
	for other, k := range m.rooms {
		if k == key && other != room {
			if !errors.Is(err, ErrKeyInUse) {
				rt.Fatalf("set %q: %v, want ErrKeyInUse", room, err)
			}
			return
		}
	}
	if m.full(rt, room, err) {
		return
	}
	if err != nil {
		rt.Fatalf("set %q: %v", room, err)
	}
	if m.rooms[room] != key {
		m.revoke(room)
	}
	m.rooms[room] = key
}

func (m *model) reset(rt *rapid.T) {
	room, keep := m.room(rt), rapid.Bool().Draw(rt, "keep")
	key, err := m.s.Reset(rt.Context(), room, keep)
	if m.full(rt, room, err) {
		return
	}
	if err != nil || slices.Contains(m.known, key) {
		rt.Fatalf("reset %q: %v", room, err)
	}
	m.rooms[room] = key
	m.known = append(m.known, key)
	if !keep {
		m.revoke(room)
	}
}

func (m *model) delete(rt *rapid.T) {
	room, keep := m.room(rt), rapid.Bool().Draw(rt, "keep")
	err := m.s.Delete(rt.Context(), room, keep)
	if _, ok := m.rooms[room]; !ok {
		if !errors.Is(err, ErrNoRoom) {
			rt.Fatalf("delete %q: %v, want ErrNoRoom", room, err)
		}
		return
	}
	if err != nil {
		rt.Fatalf("delete %q: %v", room, err)
	}
	delete(m.rooms, room)
	if !keep {
		m.revoke(room)
	}
}

func (m *model) lease(rt *rapid.T) {
	key := rapid.SampledFrom(m.known).Draw(rt, "key")
	l, err := m.s.Lease(rt.Context(), key)
	for room, k := range m.rooms {
		if k == key {
			if err != nil || l.Room != room {
				rt.Fatalf("lease of %q: %v", room, err)
			}
			m.leases[l] = false
			return
		}
	}
	if !errors.Is(err, ErrUnknownKey) {
		rt.Fatalf("lease: %v, want ErrUnknownKey", err)
	}
}

func (m *model) release(rt *rapid.T) {
	for l := range m.leases {
		l.Release()
		delete(m.leases, l)
		return
	}
	rt.Skip("nothing is leased")
}

func (m *model) check(t *testing.T, rt *rapid.T) {
	settle(t, m.s)
	for l, revoked := range m.leases {
		if l.isRevoked() != revoked {
			rt.Fatalf("lease of %q: revoked = %v", l.Room, l.isRevoked())
		}
	}
	rooms, err := m.s.Rooms(rt.Context(), "", 10)
	if want := slices.Sorted(maps.Keys(m.rooms)); err != nil || !slices.Equal(rooms, want) {
		rt.Fatalf("rooms %q, %v, want %q", rooms, err, want)
	}
}

func (m *model) clear(t *testing.T) {
	for l := range m.leases {
		l.Release()
	}
	for room := range m.rooms {
		if err := m.s.Delete(t.Context(), room, false); err != nil {
			t.Errorf("delete %q: %v", room, err)
		}
	}
}
