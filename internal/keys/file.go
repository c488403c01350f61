package keys

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

// lockTimeout is how long OpenFile waits for a process that is just ending.
const lockTimeout = time.Second

// file is a store in one bbolt file, which one process at a time may open. Each change is on disk
// before it returns.
//
//	meta   "schema" → version of this layout; "rooms" → number of rooms, 8 bytes big-endian
//	rooms  room → key
//	keys   SHA-256 of the key → room
type file struct {
	path     string
	opt      Options
	maxRooms int
	leases   leases
	// mu makes a change and the revocation that follows it one step for Lease, so that a lease on
	// the new key survives and one on the old key does not slip through.
	mu sync.RWMutex

	dbMu sync.Mutex
	// db is nil while the file could not be made, because the disk is full: then there are no keys.
	db *bbolt.DB
}

var _ Store = (*file)(nil)

// Names in the file, see type file.
var (
	metaBucket, roomsBucket, keysBucket = []byte("meta"), []byte("rooms"), []byte("keys")
	schemaKey, countKey                 = []byte("schema"), []byte("rooms")
	schemaVersion                       = []byte("1")
)

// OpenFile opens the file at path, or makes it, readable for the owner only, and its folder. It
// fails if another process has the file open. On a full disk it succeeds: keys that are there hold,
// and changes fail with ErrUnavailable until there is room. The methods of the store do not watch
// their context: they wait for nothing but the local disk.
func OpenFile(path string, o Options) (Store, error) {
	o = o.withDefaults()
	f := &file{path: path, opt: o, maxRooms: o.MaxRooms}
	err := f.open()
	if isFull(err) {
		o.Log.Warn("the disk is full: no channel key can be made until there is room", "file", path, "err", err)
		return f, nil
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// isFull says that a disk has no room, or its user none on it.
func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// open opens the file, or makes it.
func (f *file) open() error {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return fmt.Errorf("making the folder for channel keys: %w", err)
	}
	_, err := os.Stat(f.path)
	fresh := errors.Is(err, fs.ErrNotExist)
	db, err := bbolt.Open(f.path, 0o600, &bbolt.Options{Timeout: lockTimeout, OpenFile: f.opt.openFile})
	if errors.Is(err, bbolterrors.ErrTimeout) {
		return fmt.Errorf("%s is in use by another livego", f.path)
	}
	if err == nil && db.View(check) != nil {
		if err = db.Update(prepare); err != nil {
			err = errors.Join(err, db.Close())
		}
	}
	if err != nil {
		if fresh && isFull(err) {
			_ = os.Remove(f.path) // what was begun is no file of ours, and would never become one
		}
		return fmt.Errorf("opening channel keys in %s: %w", f.path, err)
	}
	f.db = db
	return nil
}

// check fails if the file is not ready for use as it is: on a full disk it cannot be written to.
func check(tx *bbolt.Tx) error {
	for _, name := range [][]byte{metaBucket, roomsBucket, keysBucket} {
		if tx.Bucket(name) == nil {
			return bbolterrors.ErrBucketNotFound
		}
	}
	if version := tx.Bucket(metaBucket).Get(schemaKey); !bytes.Equal(version, schemaVersion) {
		return bbolterrors.ErrVersionMismatch
	}
	return nil
}

// prepare makes the buckets of a new file and refuses one of a layout that it does not know.
func prepare(tx *bbolt.Tx) error {
	for _, name := range [][]byte{metaBucket, roomsBucket, keysBucket} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	meta := tx.Bucket(metaBucket)
	switch version := meta.Get(schemaKey); {
	case version == nil:
		return meta.Put(schemaKey, schemaVersion)
	case !bytes.Equal(version, schemaVersion):
		return fmt.Errorf("its layout is version %q, this livego knows %q", version, schemaVersion)
	}
	return nil
}

func (f *file) Get(_ context.Context, room string) (string, error) {
	room, err := CanonicalName(room)
	if err != nil {
		return "", err
	}
	var key string
	err = f.view(func(tx *bbolt.Tx) error {
		key = string(tx.Bucket(roomsBucket).Get([]byte(room)))
		return nil
	})
	if err != nil || key != "" {
		return key, err
	}
	err = f.update(func(tx *bbolt.Tx) error {
		if key = string(tx.Bucket(roomsBucket).Get([]byte(room))); key != "" {
			return nil
		}
		key = newKey()
		return f.put(tx, room, key)
	})
	if err != nil {
		return "", err
	}
	return key, nil
}

func (f *file) Set(_ context.Context, room, key string) error {
	room, err := CanonicalName(room)
	if err != nil {
		return err
	}
	if err := checkChosen(room, key); err != nil {
		return err
	}
	return f.replace(room, key, false)
}

func (f *file) Reset(_ context.Context, room string, keep bool) (string, error) {
	room, err := CanonicalName(room)
	if err != nil {
		return "", err
	}
	key := newKey()
	if err := f.replace(room, key, keep); err != nil {
		return "", err
	}
	return key, nil
}

func (f *file) replace(room, key string, keep bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	changed := false
	err := f.update(func(tx *bbolt.Tx) error {
		changed = string(tx.Bucket(roomsBucket).Get([]byte(room))) != key
		if !changed {
			return nil
		}
		return f.put(tx, room, key)
	})
	if err == nil && changed && !keep {
		f.leases.revoke(room)
	}
	return err
}

func (f *file) Delete(_ context.Context, room string, keep bool) error {
	room, err := CanonicalName(room)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	err = f.update(func(tx *bbolt.Tx) error { return remove(tx, room) })
	if err == nil && !keep {
		f.leases.revoke(room)
	}
	return err
}

func (f *file) Lease(_ context.Context, key string) (*Lease, error) {
	if !WellFormed(key) {
		return nil, ErrUnknownKey
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	hash := digestOf(key)
	var room string
	err := f.view(func(tx *bbolt.Tx) error {
		room = string(tx.Bucket(keysBucket).Get(hash[:]))
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case room == "":
		return nil, ErrUnknownKey
	}
	return f.leases.add(room, ""), nil
}

func (f *file) Has(_ context.Context, room string) (ok bool, err error) {
	room, err = CanonicalName(room)
	if err != nil {
		return false, err
	}
	err = f.view(func(tx *bbolt.Tx) error {
		ok = tx.Bucket(roomsBucket).Get([]byte(room)) != nil
		return nil
	})
	return ok, err
}

func (f *file) Rooms(_ context.Context, after string, limit int) ([]string, error) {
	var rooms []string
	err := f.view(func(tx *bbolt.Tx) error {
		c := tx.Bucket(roomsBucket).Cursor()
		room, _ := c.Seek([]byte(after))
		if string(room) == after {
			room, _ = c.Next()
		}
		for ; room != nil && len(rooms) < limit; room, _ = c.Next() {
			rooms = append(rooms, string(room))
		}
		return nil
	})
	return rooms, err
}

func (f *file) Close() error {
	f.dbMu.Lock()
	defer f.dbMu.Unlock()
	if f.db == nil {
		return nil
	}
	if err := f.db.Close(); err != nil {
		return fmt.Errorf("closing channel keys: %w", err)
	}
	return nil
}

// put makes key the only key of room.
func (f *file) put(tx *bbolt.Tx, room, key string) error {
	rooms, keys, hash := tx.Bucket(roomsBucket), tx.Bucket(keysBucket), digestOf(key)
	if owner := keys.Get(hash[:]); owner != nil && string(owner) != room {
		return ErrKeyInUse
	}
	if old := rooms.Get([]byte(room)); old != nil {
		oldHash := digestOf(string(old))
		if err := keys.Delete(oldHash[:]); err != nil {
			return err
		}
	} else if n, err := addRooms(tx, 1); err != nil {
		return err
	} else if n > uint64(f.maxRooms) {
		return ErrTooManyRooms
	}
	if err := keys.Put(hash[:], []byte(room)); err != nil {
		return err
	}
	return rooms.Put([]byte(room), []byte(key))
}

func remove(tx *bbolt.Tx, room string) error {
	rooms := tx.Bucket(roomsBucket)
	key := rooms.Get([]byte(room))
	if key == nil {
		return ErrNoRoom
	}
	hash := digestOf(string(key))
	if err := tx.Bucket(keysBucket).Delete(hash[:]); err != nil {
		return err
	}
	if err := rooms.Delete([]byte(room)); err != nil {
		return err
	}
	_, err := addRooms(tx, -1)
	return err
}

// addRooms counts rooms, as bbolt itself would have to walk through all of them, and returns the
// new number.
func addRooms(tx *bbolt.Tx, delta int) (uint64, error) {
	meta := tx.Bucket(metaBucket)
	var n uint64
	if b := meta.Get(countKey); len(b) == 8 {
		n = binary.BigEndian.Uint64(b)
	}
	n += uint64(delta)
	return n, meta.Put(countKey, binary.BigEndian.AppendUint64(nil, n))
}

// view reads. Of a file that is not there it reads nothing.
func (f *file) view(fn func(*bbolt.Tx) error) error {
	f.dbMu.Lock()
	db := f.db
	f.dbMu.Unlock()
	if db == nil {
		return nil
	}
	return asUnavailable(db.View(fn))
}

func (f *file) update(fn func(*bbolt.Tx) error) error {
	db, err := f.made()
	if err != nil {
		return asUnavailable(err)
	}
	return asUnavailable(db.Update(fn))
}

// made returns the file's data base, which it makes if that was not possible before.
func (f *file) made() (*bbolt.DB, error) {
	f.dbMu.Lock()
	defer f.dbMu.Unlock()
	if f.db != nil {
		return f.db, nil
	}
	if err := f.open(); err != nil {
		return nil, err
	}
	f.opt.Log.Info("channel keys can be made again", "file", f.path)
	return f.db, nil
}

// asUnavailable leaves the contract's own errors as they are; all others come from the disk.
func asUnavailable(err error) error {
	for _, own := range []error{nil, ErrNoRoom, ErrKeyInUse, ErrTooManyRooms} {
		if errors.Is(err, own) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
