package keys

import (
	"context"
	"slices"
	"sync"
)

// memory is a store that forgets everything when it ends.
type memory struct {
	maxRooms int
	leases   leases

	mu    sync.Mutex
	rooms map[string]string // room → key
	keys  map[digest]string // digest of the key → room
}

var _ Store = (*memory)(nil)

// NewMemory returns an empty store that lives in memory only, for demonstrations and tests.
func NewMemory(o Options) Store {
	o = o.withDefaults()
	return &memory{maxRooms: o.MaxRooms, rooms: make(map[string]string), keys: make(map[digest]string)}
}

func (m *memory) Get(_ context.Context, room string) (string, error) {
	room, err := CanonicalName(room)
	if err != nil {
		return "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if key, ok := m.rooms[room]; ok {
		return key, nil
	}
	key := newKey()
	if err := m.put(room, key); err != nil {
		return "", err
	}
	return key, nil
}

func (m *memory) Set(_ context.Context, room, key string) error {
	room, err := CanonicalName(room)
	if err != nil {
		return err
	}
	if err := checkChosen(room, key); err != nil {
		return err
	}
	return m.replace(room, key, false)
}

func (m *memory) Reset(_ context.Context, room string, keep bool) (string, error) {
	room, err := CanonicalName(room)
	if err != nil {
		return "", err
	}
	key := newKey()
	if err := m.replace(room, key, keep); err != nil {
		return "", err
	}
	return key, nil
}

func (m *memory) replace(room, key string, keep bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.rooms[room] == key {
		return nil
	}
	if err := m.put(room, key); err != nil {
		return err
	}
	if !keep {
		m.leases.revoke(room)
	}
	return nil
}

// put makes key the only key of room; m.mu is held.
func (m *memory) put(room, key string) error {
	if owner, ok := m.keys[digestOf(key)]; ok && owner != room {
		return ErrKeyInUse
	}
	old, known := m.rooms[room]
	if !known && len(m.rooms) >= m.maxRooms {
		return ErrTooManyRooms
	}
	if known {
		delete(m.keys, digestOf(old))
	}
	m.rooms[room], m.keys[digestOf(key)] = key, room
	return nil
}

func (m *memory) Delete(_ context.Context, room string, keep bool) error {
	room, err := CanonicalName(room)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	key, ok := m.rooms[room]
	if !ok {
		return ErrNoRoom
	}
	delete(m.rooms, room)
	delete(m.keys, digestOf(key))
	if !keep {
		m.leases.revoke(room)
	}
	return nil
}

func (m *memory) Lease(_ context.Context, key string) (*Lease, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	room, ok := m.keys[digestOf(key)]
	if !ok {
		return nil, ErrUnknownKey
	}
	return m.leases.add(room, ""), nil
}

func (m *memory) Has(_ context.Context, room string) (bool, error) {
	room, err := CanonicalName(room)
	if err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.rooms[room]
	return ok, nil
}

func (m *memory) Rooms(_ context.Context, after string, limit int) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var rooms []string
	for room := range m.rooms {
		if room > after {
			rooms = append(rooms, room)
		}
	}
	slices.Sort(rooms)
	return rooms[:min(len(rooms), max(limit, 0))], nil
}

func (m *memory) Close() error { return nil }
