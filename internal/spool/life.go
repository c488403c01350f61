package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	// killedSpare is how many numbers after the last stored one are left out after a killed process
	// at least, whatever it reserved: that of the segment that was under way, parts of which
	// players and caches have, and one that was not written yet.
	killedSpare = 2
	// maxFill bounds the gaps that join what a rendition had to what it has now. After a larger
	// hole it begins anew.
	maxFill = 1024
)

// Life is a stream from its first publisher to its end. One life of a stream at a time may store
// segments.
type Life struct {
	store  *Store
	stream *stream

	next, discontinuitySeq int64
	continues              bool
	target                 time.Duration
	until                  int64
	reach                  Reach
}

// Begin starts a life of a stream and ends the one before. Any name will do.
func (s *Store) Begin(name string) *Life {
	key := folder(streamPrefix, name)
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.streams[key]
	if st == nil {
		st = newStream(filepath.Join(s.opt.Dir, key))
		s.streams[key] = st
	}
	l := &Life{store: s, stream: st}
	l.next, l.discontinuitySeq, l.continues = st.successor(s.now() - int64(s.opt.Window))
	l.target, l.until, l.reach = st.target(), st.until(), st.reach(l.next)
	if !l.continues {
		clear(st.shelves) // what they hold goes in its time
		l.next = 0
	}
	st.life, st.next, st.begun = l, 0, l.next
	s.mark(st, beginRecord, l.next)
	if l.continues {
		s.reserve(st, l.next+reserveAhead)
	}
	return l
}

// mark notes the beginning or end of a life with all that is stored of the stream. The caller holds
// mu.
func (s *Store) mark(st *stream, kind byte, next int64) {
	for _, sh := range st.shelves {
		if sh.list.len() > 0 {
			s.enqueue(job{shelf: sh, mark: kind, seq: next})
		}
	}
}

func newStream(folder string) *stream {
	return &stream{folder: folder, shelves: make(map[string]*shelf)}
}

// successor returns the first number, and the discontinuity sequence number before it, with which a
// life continues one that has segments not older than since. It is false if there are none.
func (st *stream) successor(since int64) (next, discontinuitySeq int64, ok bool) {
	for _, sh := range st.shelves {
		last := sh.list.at(sh.list.end - 1)
		if last == nil {
			continue
		}
		next = max(next, sh.list.end)
		discontinuitySeq = max(discontinuitySeq, last.nextDiscontinuity())
		ok = ok || last.stored >= since
	}
	if st.next >= next {
		return st.next, discontinuitySeq, ok
	}
	next = max(next, st.begun) + killedSpare
	if st.life == nil { // else it is this process, which knows what it used
		next = max(next, st.reserved)
	}
	return next, discontinuitySeq, ok
}

// Continues returns the number that the first segment must have, and its discontinuity sequence
// number, for the old segments to be listed before the new ones. That segment is a discontinuity.
// It is false if there are no old segments: then any number above all others will do.
func (l *Life) Continues() (next, discontinuitySeq int64, ok bool) {
	return l.next, l.discontinuitySeq, l.continues
}

// Target returns the target duration of the old playlists, which must not change while they go on,
// and is enough for all their segments.
func (l *Life) Target() time.Duration { return l.target }

func (st *stream) target() (target time.Duration) {
	for _, sh := range st.shelves {
		if last := sh.list.at(sh.list.end - 1); last != nil {
			target = max(target, time.Duration(last.Target)*time.Second)
		}
	}
	return target
}

// Until returns where the old segments end by the clock of the day, in nanoseconds since 1970, 0 if
// that is not known.
func (l *Life) Until() int64 { return l.until }

func (st *stream) until() (until int64) {
	for _, sh := range st.shelves {
		if last := sh.list.at(sh.list.end - 1); last != nil && last.At != 0 {
			until = max(until, last.At+int64(last.Duration))
		}
	}
	return until
}

// Reach is how far media of a stream have come.
type Reach struct {
	// Time is the media time at which its last stored segment ends, Stored when that came, in
	// nanoseconds since 1970.
	Time   time.Duration
	Stored int64
	// Unknown bounds what a killed process may have had after that.
	Unknown time.Duration
}

// maxReach is more than a media time can be: 36 years. A checksum is no proof.
const maxReach = time.Duration(1) << 60

// Reach returns how far the old segments come. It is zero if there are none.
func (l *Life) Reach() Reach { return l.reach }

func (st *stream) reach(next int64) (r Reach) {
	for _, sh := range st.shelves {
		last := sh.list.at(sh.list.end - 1)
		if last == nil || last.Start < 0 || last.Start > maxReach || last.Duration > maxReach {
			continue
		}
		r.Time, r.Stored = max(r.Time, last.Start+last.Duration), max(r.Stored, last.stored)
		r.Unknown = max(r.Unknown, time.Duration(max(0, next-sh.list.end))*time.Duration(last.Target)*time.Second)
	}
	return r
}

// End says that the life stores no more and used all numbers before next, whether it stored them or
// not. What it stored stays.
func (l *Life) End(next int64) {
	s := l.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.stream.life != l {
		return
	}
	l.stream.life, l.stream.next = nil, next
	s.mark(l.stream, endRecord, next)
	if l.stream.reserved > 0 {
		s.reserve(l.stream, next)
	}
	s.forget(l.stream) // if nothing was stored
}

// Rendition is one media playlist of a life.
type Rendition struct {
	life  *Life
	id    string
	shelf *shelf // guarded by the store's mu
}

// Rendition returns the one with a name, with what is stored of it if the life continues.
func (l *Life) Rendition(id string) *Rendition {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	sh := l.stream.shelves[folder(renditionPrefix, id)]
	if sh == nil {
		sh = newShelf(l.stream, id)
	}
	return &Rendition{life: l, id: id, shelf: sh}
}

// Append stores the next segment; Size is taken from the pieces, which must not change any more. It
// does not wait: the segment is on disk soon, or becomes a gap. init is the content of its init
// segment, needed with the first segment that has it and welcome with each. Numbers that were left
// out become gaps. It fails with ErrOver or ErrOrder.
func (r *Rendition) Append(e Segment, init []byte, pieces ...[]byte) error {
	s := r.life.store
	slow, err := r.append(e, init, pieces)
	if slow {
		s.report(errSlow)
	}
	s.notify()
	if err != nil {
		return fmt.Errorf("storing segment %d of %s: %w", e.Seq, r.id, err)
	}
	return nil
}

func (r *Rendition) append(e Segment, init []byte, pieces [][]byte) (slow bool, err error) {
	s := r.life.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || r.life.stream.life != r.life {
		return false, ErrOver
	}
	if r.shelf.list.len() > 0 && e.Seq < r.shelf.list.end {
		return false, ErrOrder
	}
	r.join(&e)
	j := job{shelf: r.shelf, seq: e.Seq}
	if !e.Gap {
		j.init, j.pieces = init, pieces
		j.bytes = len(init)
		for _, piece := range pieces {
			j.bytes += len(piece)
		}
	}
	e.Size = int64(j.bytes - len(j.init))
	if slow = s.queued+j.bytes > s.opt.MaxQueueBytes || len(s.queue) >= maxQueued; slow {
		s.lost++
		e, j = e.blank(e.Seq), job{shelf: r.shelf, seq: e.Seq}
	}
	s.push(r.shelf, e)
	r.life.renew(e.Seq)
	s.enqueue(j)
	return slow, nil
}

// join makes the rendition's shelf end where a segment begins. The caller holds mu.
func (r *Rendition) join(next *Segment) {
	st, sh := r.life.stream, r.shelf
	if sh.list.len() > 0 && next.Seq-sh.list.end > maxFill {
		sh = newShelf(st, r.id)
	}
	st.shelves[sh.id], r.shelf = sh, sh
	for sh.list.len() > 0 && sh.list.end < next.Seq {
		e := sh.standIn(next)
		r.life.store.push(sh, e)
		r.life.store.enqueue(job{shelf: sh, seq: e.Seq})
	}
}

// List returns the rendition's window up to the segment before the number before, from which on the
// caller lists segments from memory. What is not on disk by now is a gap for good. The window ends
// there unless less was appended.
func (r *Rendition) List(before int64) Window {
	w, slow := r.list(before)
	if slow {
		r.life.store.report(errSlow)
	}
	return w
}

func (r *Rendition) list(before int64) (w Window, slow bool) {
	s := r.life.store
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := r.shelf
	for end := min(before, sh.list.end); sh.settled < end; sh.settled++ {
		if e := sh.list.at(sh.settled); e != nil && !e.written && !e.Gap {
			s.blank(sh, e)
			slow = true
		}
	}
	end := min(before, sh.settled)
	return Window{list: sh.list, first: min(sh.listed, end), end: end}, slow
}

// Settled says whether a segment is on disk or a gap, and no longer on its way.
func (r *Rendition) Settled(seq int64) bool {
	r.life.store.mu.Lock()
	defer r.life.store.mu.Unlock()
	e := r.shelf.list.at(seq)
	return e == nil || e.written || e.Gap
}

// Open opens a segment's file, which is as long as the segment's Size and can be read to its end
// also when the segment goes meanwhile. It fails with ErrNotStored.
func (r *Rendition) Open(seq int64) (*os.File, error) {
	path, size := r.find(seq)
	return open(path, size)
}

func (r *Rendition) find(seq int64) (path string, size int64) {
	r.life.store.mu.Lock()
	defer r.life.store.mu.Unlock()
	e := r.shelf.list.at(seq)
	if e == nil || !e.written || e.Gap {
		return "", 0
	}
	return fileName(r.shelf.folder, seq, segmentSuffix), e.Size
}

// OpenInit opens the file of an init segment. It fails with ErrNotStored.
func (r *Rendition) OpenInit(seq int64) (*os.File, error) {
	path, size := r.findInit(seq)
	return open(path, size)
}

func (r *Rendition) findInit(seq int64) (path string, size int64) {
	r.life.store.mu.Lock()
	defer r.life.store.mu.Unlock()
	size, stored := r.shelf.initSize(seq)
	if !stored {
		return "", 0
	}
	return fileName(r.shelf.folder, seq, initSuffix), size
}

// open opens a file that should have a size: nobody gets half a segment when somebody else wrote to
// the folder.
func open(path string, size int64) (*os.File, error) {
	if path == "" {
		return nil, ErrNotStored
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotStored
	}
	if err != nil {
		return nil, fmt.Errorf("reading a stored segment: %w", err)
	}
	if st, err := f.Stat(); err != nil || st.Size() != size {
		_ = f.Close() // it was only read
		return nil, fmt.Errorf("%w: its file is damaged", ErrNotStored)
	}
	return f, nil
}
