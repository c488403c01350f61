package keys

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Short forms for calls that must succeed.

func get(t *testing.T, s Store, room string) string {
	t.Helper()
	key, err := s.Get(t.Context(), room)
	if err != nil {
		t.Fatalf("get %q: %v", room, err)
	}
	return key
}

func set(t *testing.T, s Store, room, key string) {
	t.Helper()
	if err := s.Set(t.Context(), room, key); err != nil {
		t.Fatalf("set %q: %v", room, err)
	}
}

func reset(t *testing.T, s Store, room string, keep bool) string {
	t.Helper()
	key, err := s.Reset(t.Context(), room, keep)
	if err != nil {
		t.Fatalf("reset %q: %v", room, err)
	}
	return key
}

func del(t *testing.T, s Store, room string, keep bool) {
	t.Helper()
	if err := s.Delete(t.Context(), room, keep); err != nil {
		t.Fatalf("delete %q: %v", room, err)
	}
}

func lease(t *testing.T, s Store, key, room string) *Lease {
	t.Helper()
	l, err := s.Lease(t.Context(), key)
	if err != nil {
		t.Fatalf("lease of room %q: %v", room, err)
	}
	t.Cleanup(l.Release)
	if l.Room != room {
		t.Fatalf("the key opens %q, want %q", l.Room, room)
	}
	return l
}

func wantUnknown(t *testing.T, key string, stores ...Store) {
	t.Helper()
	for _, s := range stores {
		if l, err := s.Lease(t.Context(), key); !errors.Is(err, ErrUnknownKey) || l != nil {
			t.Fatalf("lease = %v, %v, want ErrUnknownKey", l, err)
		}
	}
}

func TestGetMakesOneKeyPerRoom(t *testing.T) {
	keyForm := regexp.MustCompile(`^[0-9a-zA-Z]{48}$`) // spec 2.2
	forEachBackend(t, Options{}, func(t *testing.T, a, b Store) {
		movie := get(t, a, "movie")
		if !keyForm.MatchString(movie) {
			t.Errorf("key %q is not 48 alphanumerics", movie)
		}
		if get(t, b, "movie") != movie || get(t, a, "movie") != movie {
			t.Error("the key changed")
		}
		if get(t, b, "a/b") == movie {
			t.Error("two rooms have one key")
		}
		lease(t, b, movie, "movie")
	})
}

// A room has one name, in whichever form it is written, when it is made and when it is looked up.
func TestRoomsAreCanonical(t *testing.T) {
	const composed, decomposed, unseen = "caf\u00e9", "cafe\u0301", " caf\u200b\u00e9"
	forEachBackend(t, Options{}, func(t *testing.T, a, b Store) {
		key := get(t, a, decomposed)
		for _, name := range []string{composed, decomposed, unseen} {
			if get(t, b, name) != key {
				t.Errorf("%+q is another room", name)
			}
			wantHas(t, b, name, true)
		}
		held := lease(t, b, key, composed)
		rooms, err := a.Rooms(t.Context(), "", 10)
		if err != nil || !slices.Equal(rooms, []string{composed}) {
			t.Errorf("rooms %+q, %v", rooms, err)
		}
		newKey := reset(t, b, unseen, false)
		settle(t, a, b)
		wantRevoked(t, held)
		wantUnknown(t, key, a, b)
		set(t, a, decomposed, strings.Repeat("Key0", 5))
		wantUnknown(t, newKey, a, b)
		del(t, a, unseen, false)
		wantHas(t, b, composed, false)
	})
}

func TestHasMakesNoRoom(t *testing.T) {
	forEachBackend(t, Options{}, func(t *testing.T, a, b Store) {
		wantHas(t, a, "movie", false)
		wantHas(t, a, "movie", false)
		if rooms, err := a.Rooms(t.Context(), "", 1); err != nil || len(rooms) != 0 {
			t.Errorf("rooms %v, %v", rooms, err)
		}
		key := get(t, b, "movie")
		wantHas(t, a, "movie", true)
		wantHas(t, a, key, false)
		if _, err := a.Has(t.Context(), ".."); !errors.Is(err, ErrBadRoom) {
			t.Errorf("a bad name: %v", err)
		}
	})
}

func wantHas(t *testing.T, s Store, room string, want bool) {
	t.Helper()
	if has, err := s.Has(t.Context(), room); err != nil || has != want {
		t.Errorf("has %+q: %v, %v", room, has, err)
	}
}

func TestParallelGetsReturnTheSameKey(t *testing.T) {
	forEachBackend(t, Options{}, func(t *testing.T, a, b Store) {
		const callers, rooms = 16, 4
		keys := make([][rooms]string, callers)
		var done sync.WaitGroup
		for i := range callers {
			done.Go(func() {
				for r := range rooms {
					key, err := []Store{a, b}[i%2].Get(t.Context(), fmt.Sprint("room", r))
					if err != nil {
						t.Error(err)
					}
					keys[i][r] = key
				}
			})
		}
		done.Wait()
		for _, k := range keys {
			if k != keys[0] {
				t.Fatal("callers got different keys")
			}
		}
	})
}

// Defect 2 of LiveGo: the name of a room was a key, and the key of a room a room.
func TestRoomsAndKeysAreSeparate(t *testing.T) {
	forEachBackend(t, Options{}, func(t *testing.T, a, b Store) {
		long := strings.Repeat("r0Om", 12)
		for _, room := range []string{"movie", long} {
			key := get(t, a, room)
			wantUnknown(t, room, a, b)
			if get(t, a, key) == room {
				t.Error("asking for a room that is named like a key returned the key's room")
			}
			lease(t, b, key, room)
		}
	})
}

// Defect 1 of LiveGo: reset and delete did not revoke.
func TestResetRevokes(t *testing.T) {
	forEachBackend(t, Options{}, func(t *testing.T, a, b Store) {
		old := get(t, a, "movie")
		onA, onB := lease(t, a, old, "movie"), lease(t, b, old, "movie")
		other := lease(t, a, get(t, a, "other"), "other")

		fresh := reset(t, a, "movie", false)
		if fresh == old || get(t, b, "movie") != fresh {
			t.Error("the key did not change")
		}
		wantUnknown(t, old, a, b)
		wantRevoked(t, onA)
		wantRevoked(t, onB)

		again := lease(t, b, fresh, "movie")
		settle(t, a, b)
		wantHeld(t, again)
		wantHeld(t, other)
	})
}

func TestResetMakesARoom(t *testing.T) {
	forEachBackend(t, Options{}, func(t *testing.T, a, b Store) {
		key := reset(t, a, "movie", false)
		lease(t, b, key, "movie")
	})
}

func TestResetThatKeeps(t *testing.T) {
	forEachBackend(t, Options{}, func(t *testing.T, a, b Store) {
		old := get(t, a, "movie")
		onA, onB := lease(t, a, old, "movie"), lease(t, b, old, "movie")
		fresh := reset(t, a, "movie", true)
		wantUnknown(t, old, a, b)
		onFresh := lease(t, a, fresh, "movie")
		settle(t, a, b)
		for _, l := range []*Lease{onA, onB, onFresh} {
			wantHeld(t, l)
		}

		reset(t, b, "movie", false)
		for _, l := range []*Lease{onA, onB, onFresh} {
			wantRevoked(t, l)
		}
	})
}

func TestDelete(t *testing.T) {
	forEachBackend(t, Options{}, func(t *testing.T, a, b Store) {
		if err := a.Delete(t.Context(), "movie", false); !errors.Is(err, ErrNoRoom) {
			t.Errorf("delete of an unknown room: %v, want ErrNoRoom", err)
		}
		old := get(t, a, "movie")
		onA, onB := lease(t, a, old, "movie"), lease(t, b, old, "movie")
		del(t, b, "movie", false)
		wantUnknown(t, old, a, b)
		wantRevoked(t, onA)
		wantRevoked(t, onB)
		if err := a.Delete(t.Context(), "movie", false); !errors.Is(err, ErrNoRoom) {
			t.Errorf("second delete: %v, want ErrNoRoom", err)
		}
		fresh := get(t, a, "movie")
		if fresh == old {
			t.Error("the room came back with its old key")
		}
		again := lease(t, b, fresh, "movie")
		settle(t, a, b)
		wantHeld(t, again)
	})
}

func TestDeleteThatKeeps(t *testing.T) {
	forEachBackend(t, Options{}, func(t *testing.T, a, b Store) {
		old := get(t, a, "movie")
		onA, onB := lease(t, a, old, "movie"), lease(t, b, old, "movie")
		del(t, a, "movie", true)
		wantUnknown(t, old, a, b)
		get(t, b, "movie")
		settle(t, a, b)
		wantHeld(t, onA)
		wantHeld(t, onB)
		del(t, b, "movie", false)
		wantRevoked(t, onA)
		wantRevoked(t, onB)
	})
}

func TestSet(t *testing.T) {
	forEachBackend(t, Options{}, func(t *testing.T, a, b Store) {
		const chosen, second = "operatorsOwnKey1", "operatorsOwnKey2"
		old := get(t, a, "movie")
		onOld := lease(t, b, old, "movie")
		set(t, a, "movie", chosen)
		if get(t, b, "movie") != chosen {
			t.Error("the key is not the chosen one")
		}
		wantUnknown(t, old, a, b)
		wantRevoked(t, onOld)

		onChosen := lease(t, b, chosen, "movie")
		set(t, b, "movie", chosen)
		settle(t, a, b)
		wantHeld(t, onChosen)

		if err := b.Set(t.Context(), "other", chosen); !errors.Is(err, ErrKeyInUse) {
			t.Errorf("key of another room: %v, want ErrKeyInUse", err)
		}
		if err := b.Delete(t.Context(), "other", false); !errors.Is(err, ErrNoRoom) {
			t.Errorf("the refused call made the room: %v", err)
		}
		lease(t, a, chosen, "movie")

		set(t, a, "movie", second)
		wantRevoked(t, onChosen)
		set(t, a, "other", chosen)
		lease(t, b, chosen, "other")
	})
}

func TestSetRefusesBadKeys(t *testing.T) {
	const room = "sixteenCharsLong"
	bad := []string{"", "fifteenLetters1", strings.Repeat("a", 129), "not-alphanumeric0", "alphanumericä000", "0123456789abcde\x00", room}
	good := []string{"sixteenCharsLon2", strings.Repeat("a", 128)}
	forEachBackend(t, Options{}, func(t *testing.T, a, b Store) {
		for _, key := range bad {
			if err := a.Set(t.Context(), room, key); !errors.Is(err, ErrBadKey) || key != "" && key != room && strings.Contains(err.Error(), key) {
				t.Errorf("set of %q: %v, want ErrBadKey without the key", key, err)
			}
		}
		for _, key := range good {
			set(t, a, room, key)
		}
	})
}

func TestLeaseOfWhatIsNoKey(t *testing.T) {
	forEachBackend(t, Options{}, func(t *testing.T, a, b Store) {
		get(t, a, "movie")
		for _, key := range []string{"", "movie", newKey(), "*", "a b", strings.Repeat("x", 1<<16), "\x00", "livego:room:movie"} {
			wantUnknown(t, key, a)
		}
	})
}

func TestReleaseEndsALease(t *testing.T) {
	forEachBackend(t, Options{}, func(t *testing.T, a, b Store) {
		key := get(t, a, "movie")
		released, held := lease(t, a, key, "movie"), lease(t, a, key, "movie")
		released.Release()
		released.Release()
		reset(t, b, "movie", false)
		wantRevoked(t, held)
		wantHeld(t, released)
	})
}

func TestBadRoomsAreRefused(t *testing.T) {
	forEachBackend(t, Options{}, func(t *testing.T, a, b Store) {
		for _, room := range []string{"", "../../pwned", "a//b", "bad\x00"} {
			_, getErr := a.Get(t.Context(), room)
			_, resetErr := a.Reset(t.Context(), room, false)
			for _, err := range []error{getErr, resetErr, a.Set(t.Context(), room, newKey()), a.Delete(t.Context(), room, false)} {
				if !errors.Is(err, ErrBadRoom) {
					t.Errorf("room %q: %v, want ErrBadRoom", room, err)
				}
			}
		}
	})
}

// Defect 14 of LiveGo: rooms were created without bound.
func TestNumberOfRoomsIsBounded(t *testing.T) {
	forEachBackend(t, Options{MaxRooms: 2}, func(t *testing.T, a, b Store) {
		one := get(t, a, "one")
		get(t, b, "two")
		_, getErr := a.Get(t.Context(), "three")
		_, resetErr := b.Reset(t.Context(), "three", false)
		for _, err := range []error{getErr, resetErr, a.Set(t.Context(), "three", newKey())} {
			if !errors.Is(err, ErrTooManyRooms) {
				t.Errorf("third room: %v, want ErrTooManyRooms", err)
			}
		}
		if get(t, b, "one") != one {
			t.Error("a room that exists was touched")
		}
		reset(t, a, "one", false)
		set(t, a, "one", newKey())
		del(t, a, "two", false)
		get(t, a, "three")
	})
}

func TestRoomsArePaged(t *testing.T) {
	forEachBackend(t, Options{}, func(t *testing.T, a, b Store) {
		if rooms, err := a.Rooms(t.Context(), "", 10); err != nil || len(rooms) != 0 {
			t.Errorf("rooms of an empty store: %q, %v", rooms, err)
		}
		all := []string{"B", "a", "a/b", "a0", "z", "é"} // byte order
		for _, room := range []string{"z", "a0", "é", "gone", "B", "a/b", "a"} {
			get(t, a, room)
		}
		del(t, b, "gone", false)
		var got []string
		for after, calls := "", 0; calls < 10; calls++ {
			page, err := b.Rooms(t.Context(), after, 4)
			if err != nil || len(page) > 4 {
				t.Fatalf("page of %d: %v", len(page), err)
			}
			if len(page) == 0 {
				break
			}
			got, after = append(got, page...), page[len(page)-1]
		}
		if !slices.Equal(got, all) {
			t.Errorf("rooms %q, want %q", got, all)
		}
		if rooms, err := b.Rooms(t.Context(), "a1", 1); err != nil || !slices.Equal(rooms, []string{"z"}) {
			t.Errorf("after a name that is no room: %q, %v", rooms, err)
		}
		for _, limit := range []int{0, -1} {
			if rooms, err := a.Rooms(t.Context(), "", limit); err != nil || len(rooms) != 0 {
				t.Errorf("limit %d: %q, %v", limit, rooms, err)
			}
		}
	})
}

// A lease on the new key must survive the revocation of the old one, and none on the old key may
// slip through, however calls interleave.
func TestLeasesRaceWithResets(t *testing.T) {
	forEachBackend(t, Options{}, func(t *testing.T, a, b Store) {
		const rounds = 20
		get(t, a, "movie")
		var mu sync.Mutex
		byKey := map[string][]*Lease{}
		stop := make(chan struct{})
		var publishers sync.WaitGroup
		for _, s := range []Store{a, b} {
			publishers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					key, getErr := s.Get(t.Context(), "movie")
					l, err := s.Lease(t.Context(), key)
					if getErr == nil && errors.Is(err, ErrUnknownKey) {
						continue // reset since
					}
					if getErr != nil || err != nil {
						t.Error(getErr, err)
						return
					}
					mu.Lock()
					byKey[key] = append(byKey[key], l)
					mu.Unlock()
				}
			})
		}
		for i := range rounds {
			reset(t, []Store{a, b}[i%2], "movie", false)
		}
		close(stop)
		publishers.Wait()
		settle(t, a, b)
		last := get(t, a, "movie")
		for key, leases := range byKey {
			for _, l := range leases {
				if l.isRevoked() != (key != last) {
					t.Errorf("revoked = %v for the last key = %v", l.isRevoked(), key == last)
				}
				l.Release()
			}
		}
	})
}
