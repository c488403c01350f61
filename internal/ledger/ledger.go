// Package ledger keeps the numbers that each stream's HLS used, so that the next life of a stream
// goes on with the next ones: after an end of the server, or a kill.
//
// Who packages a stream notes each segment, and never waits: one goroutine of the Ledger writes. A
// file has a slot for each stream, which is written over in place, so it does not grow with time,
// and has room for the streams that it knows on a full disk too. Slots are never synced: the page
// cache survives the process, and a killed one leaves no half slot, as none crosses a page. What a
// loss of power took, about the last half minute, the reader cannot see: it must not trust old
// notes. What cannot be read is not known.
//
// Streams are told apart by a hash of their name. Two Ledgers on one file lose notes, no more.
package ledger

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

const (
	// maxStreams bounds the streams that are known, and so the file: 1 MiB.
	maxStreams = 1 << 13
	// expireAfter is for how long a stream is known that is off the air.
	expireAfter = 24 * time.Hour
	// leaveAfter is when a stream may give way to another one if there are too many.
	leaveAfter = time.Minute
)

// Entry is what one life of a stream used. Numbers are not negative. The zero value says nothing.
type Entry struct {
	// Segment is the media sequence number of the newest CMAF segment, Next the one after the
	// newest MPEG-TS segment.
	Segment int64 `json:"segment,omitempty"`
	Next    int64 `json:"next,omitempty"`
	// Discontinuity is the newest discontinuity sequence number.
	Discontinuity int64 `json:"discontinuity,omitempty"`
	// Begun is the media time at which Segment begins, Before at which the segment before it does.
	Begun  time.Duration `json:"begun,omitempty"`
	Before time.Duration `json:"before,omitempty"`
	// Reach is the latest media time that was noted. Over says that the life is over, so that none
	// came after it.
	Reach time.Duration `json:"reach,omitempty"`
	Over  bool          `json:"over,omitempty"`
	// Longest is how long the longest CMAF segment of the life was, 0 if one had to be cut.
	Longest time.Duration `json:"longest,omitempty"`
	// Complete: there is nothing to come of Segment.
	Complete bool `json:"complete,omitempty"`
	// Follows: another server goes on at Reach, where all there was of the life ends.
	Follows bool `json:"follows,omitempty"`
	// Noted is when this was noted, by the clock of the day. Note sets it.
	Noted time.Time `json:"noted,omitzero"`
}

// Options configures a Ledger. The zero value of a field means the default in parentheses.
type Options struct {
	// Path names the file. Its folder is made. Empty, or if it cannot be opened: nothing outlives
	// the process.
	Path string
	// Log gets a line when notes begin to get lost and when that is over. Nil: nothing is logged.
	Log *slog.Logger
	// Now (time.Now) is the wall clock.
	Now func() time.Time
}

// Ledger is the notes of all streams. Its methods, and those of lives, may be called at the same
// time.
type Ledger struct {
	log  *slog.Logger
	now  func() time.Time
	path string
	file file // nil: nothing is written

	mu      sync.Mutex
	streams map[key]*stream
	// slots are the streams by their place in the file.
	slots []*stream
	// unwritten are the streams whose entry is newer than their slot.
	unwritten []*stream
	closed    bool

	// failing: the log has it that notes get lost. Only the writer uses it.
	failing bool

	wake chan struct{}
	done chan struct{}
}

// file is what the writer needs of a file.
type file interface {
	io.WriterAt
	io.Closer
}

// key is a stream's name, hashed.
type key [16]byte

func keyOf(name string) key {
	sum := sha256.Sum256([]byte(name))
	return key(sum[:len(key{})])
}

// stream is what is known of one stream.
type stream struct {
	key   key
	entry Entry
	slot  int
	// waits: it is one of the unwritten.
	waits bool
	// life is the one that may note.
	life *Life
}

// Open reads what earlier processes noted. Without a file, or if that cannot be used, which it
// logs, the Ledger knows what it is told itself. The Ledger must be closed.
func Open(o Options) *Ledger {
	l := &Ledger{
		log: o.Log, now: o.Now, path: o.Path,
		streams: make(map[key]*stream),
		wake:    make(chan struct{}, 1),
		done:    make(chan struct{}),
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if l.now == nil {
		l.now = time.Now
	}
	if err := l.open(); err != nil {
		l.log.Warn("HLS viewers may have to begin anew after a restart, as the numbers of segments are not kept", "path", o.Path, "error", err)
	}
	if l.file == nil {
		close(l.done)
		return l
	}
	go l.run()
	return l
}

// open opens the file and reads it.
func (l *Ledger) open() error {
	if l.path == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(l.path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(l.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxStreams*slotSize))
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.file = f
	l.load(data)
	return nil
}

// load takes the notes of a file that are not too old. Those of the future stay: the clock was set
// back.
func (l *Ledger) load(data []byte) {
	for ; len(data) >= slotSize; data = data[slotSize:] {
		st := &stream{slot: len(l.slots)}
		var err error
		st.key, st.entry, err = parseSlot(data)
		if err == nil && l.streams[st.key] == nil && l.now().Sub(st.entry.Noted) < expireAfter {
			l.streams[st.key] = st
		} else {
			st = nil
		}
		l.slots = append(l.slots, st)
	}
}

// Life is one life of a stream.
type Life struct {
	ledger *Ledger
	stream *stream
}

// Begin begins a life of a stream and ends the one before, of which it returns what is known: ok is
// false if that is nothing. Any name will do.
func (l *Ledger) Begin(name string) (life *Life, last Entry, ok bool) {
	k := keyOf(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	st := l.streams[k]
	if st == nil {
		if st = l.add(k); st == nil {
			return &Life{ledger: l}, Entry{}, false
		}
	}
	life = &Life{ledger: l, stream: st}
	st.life = life
	return life, st.entry, !st.entry.Noted.IsZero()
}

// add finds a place for a stream. It returns nil if there is none. The caller holds mu.
func (l *Ledger) add(k key) *stream {
	slot, ok := l.place()
	if !ok {
		return nil
	}
	if old := l.slots[slot]; old != nil {
		old.life = nil
		delete(l.streams, old.key)
	}
	st := &stream{key: k, slot: slot}
	l.slots[slot], l.streams[k] = st, st
	return st
}

// place returns a slot for one more stream: one that is free, or that of the stream of which
// nothing was noted for the longest time.
func (l *Ledger) place() (slot int, ok bool) {
	if slot = slices.Index(l.slots, nil); slot >= 0 {
		return slot, true
	}
	if len(l.slots) < maxStreams {
		l.slots = append(l.slots, nil)
		return len(l.slots) - 1, true
	}
	slot = 0
	for i, st := range l.slots {
		if st.entry.Noted.Before(l.slots[slot].entry.Noted) {
			slot = i
		}
	}
	return slot, l.now().Sub(l.slots[slot].entry.Noted) > leaveAfter
}

// Note replaces what is known of the life. It does not wait, and does nothing once another life of
// the stream has begun, or the Ledger had no place for it.
func (f *Life) Note(e Entry) {
	if f.stream == nil {
		return
	}
	l := f.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	st := f.stream
	if st.life != f {
		return
	}
	e.Noted = l.now()
	st.entry = e
	if l.file == nil || l.closed {
		return
	}
	l.enqueue(st)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Close writes what waits for the disk, until ctx ends. What is noted later is lost.
func (l *Ledger) Close(ctx context.Context) error {
	l.mu.Lock()
	again := l.closed
	l.closed = true
	l.mu.Unlock()
	if l.file != nil && !again {
		close(l.wake)
	}
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("noting the last numbers of HLS: %w", context.Cause(ctx))
	}
}

// run writes until the Ledger is closed. What cannot be written waits for the next note.
func (l *Ledger) run() {
	defer close(l.done)
	for range l.wake {
		for l.write() {
		}
	}
	for l.write() {
	}
	l.report(l.file.Close())
}

// write writes a slot that waits. It returns whether there may be others.
func (l *Ledger) write() (more bool) {
	st, slot := l.take()
	if st == nil {
		return false
	}
	_, err := l.file.WriteAt(slot, int64(st.slot)*slotSize)
	if err != nil {
		l.mu.Lock()
		l.enqueue(st)
		l.mu.Unlock()
	}
	l.report(err)
	return err == nil
}

// enqueue lets a stream wait for the writer. The caller holds mu.
func (l *Ledger) enqueue(st *stream) {
	if !st.waits {
		st.waits = true
		l.unwritten = append(l.unwritten, st)
	}
}

// take returns a stream that waits, and its slot, or nil.
func (l *Ledger) take() (*stream, []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.unwritten) > 0 {
		st := l.unwritten[0]
		l.unwritten = l.unwritten[1:]
		st.waits = false
		if l.slots[st.slot] == st { // else it gave way to another one
			return st, appendSlot(nil, st.key, &st.entry)
		}
	}
	l.unwritten = nil
	return nil, nil
}

// report logs the beginning of trouble, and its end.
func (l *Ledger) report(err error) {
	switch {
	case err != nil && !l.failing:
		l.log.Warn("HLS viewers may have to begin anew after a restart, as the numbers of segments cannot be written", "path", l.path, "error", err)
	case err == nil && l.failing:
		l.log.Info("the numbers of segments are written again", "path", l.path)
	}
	l.failing = err != nil
}
