package spool

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxIndexBytes bounds an index file: what it may hold, and far more than it does.
const maxIndexBytes = indexRecords * (maxPayload + frameSize)

// scan reads what an earlier process left.
func (s *Store) scan() error {
	entries, err := os.ReadDir(s.opt.Dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !entry.IsDir() || !strings.HasPrefix(entry.Name(), streamPrefix) {
			continue
		}
		st := newStream(filepath.Join(s.opt.Dir, entry.Name()))
		if err := s.scanStream(st); err != nil {
			return fmt.Errorf("reading %s: %w", st.folder, err)
		}
		if len(st.shelves) > 0 {
			st.sortOrder()
			s.unlistLead(st)
			s.segments += len(st.order)
			s.streams[entry.Name()] = st
		}
	}
	return nil
}

func (s *Store) scanStream(st *stream) error {
	entries, err := os.ReadDir(st.folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !entry.IsDir() || !strings.HasPrefix(entry.Name(), renditionPrefix) {
			continue
		}
		sh := newShelfIn(st, entry.Name())
		last, err := s.scanShelf(sh)
		if err != nil {
			return err
		}
		st.begun = max(st.begun, last.next)
		if last.kind == endRecord {
			st.next = max(st.next, last.next)
		}
	}
	st.readReservation()
	if !st.ended() {
		st.next = 0
	}
	if len(st.shelves) == 0 {
		s.remove(filepath.Join(st.folder, reserveFile))
		s.remove(st.folder)
	}
	return nil
}

// ended says whether the last life ended as it should.
func (st *stream) ended() bool {
	for _, sh := range st.shelves {
		if st.next < sh.list.end {
			return false
		}
	}
	return st.next >= st.begun && st.next >= st.reserved
}

// contents are the files of a shelf's folder by their numbers, with their sizes.
type contents struct {
	segments, inits map[int64]int64
	indexes         []int64
}

func readFolder(path string) (contents, error) {
	c := contents{segments: make(map[int64]int64), inits: make(map[int64]int64)}
	entries, err := os.ReadDir(path)
	if err != nil {
		return c, err
	}
	for _, entry := range entries {
		seq, suffix, ours := parseFile(entry.Name())
		if !ours || !entry.Type().IsRegular() {
			continue
		}
		if suffix == indexSuffix {
			c.indexes = append(c.indexes, seq)
			continue
		}
		st, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return c, err
		}
		if suffix == initSuffix {
			c.inits[seq] = st.Size()
		} else {
			c.segments[seq] = st.Size()
		}
	}
	slices.Sort(c.indexes)
	return c, nil
}

// scanShelf restores a shelf, and returns the last record of a life's beginning or end.
func (s *Store) scanShelf(sh *shelf) (last record, err error) {
	c, err := readFolder(sh.folder)
	if err != nil {
		return record{}, err
	}
	for _, seq := range c.indexes {
		data, err := readIndex(fileName(sh.folder, seq, indexSuffix))
		if err != nil {
			return record{}, err
		}
		if mark := sh.restore(data, &c); mark.kind != 0 {
			last = mark
		}
	}
	for sh.list.len() > 0 && sh.list.at(sh.list.first).Gap && !sh.beginsWithGap() {
		sh.list.pop() // its file was removed
	}
	if sh.list.len() > 0 {
		sh.listed, sh.settled = sh.list.first, sh.list.end
		sh.stream.shelves[sh.id] = sh
	}
	s.adopt(sh, &c)
	return last, nil
}

// beginsWithGap says that a gap stands before all that was ever stored.
func (sh *shelf) beginsWithGap() bool {
	next := sh.list.at(sh.list.first + 1)
	return sh.list.at(sh.list.first).leads() && next != nil && next.written
}

// readIndex reads an index file as far as one may be long.
func readIndex(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxIndexBytes))
}

// restore adds the segments of an index and returns its last record of a life's beginning or end.
// It stops at a torn record.
func (sh *shelf) restore(data []byte, c *contents) (last record) {
	for len(data) > 0 {
		r, n, err := parseRecord(data)
		if err != nil {
			break
		}
		data = data[n:]
		if r.kind == segmentRecord {
			sh.restoreSegment(&r, c)
		} else {
			last = r
		}
	}
	return last
}

// restoreSegment adds a segment. One whose files are not there, or not whole, is a gap, and so is
// one without a record between others.
func (sh *shelf) restoreSegment(r *record, c *contents) {
	e := r.segment
	size, there := c.segments[e.Seq]
	initSize, init := c.inits[e.Init]
	e.written = !e.Gap && there && init && size == e.Size && initSize == r.initSize
	if !e.written {
		e = e.blankStored()
	}
	l := &sh.list
	if l.len() > 0 {
		if e.Seq < l.end {
			return
		}
		if e.Seq-l.end > maxFill {
			*l = list{} // what was before cannot be listed with it
		}
		for l.len() > 0 && l.end < e.Seq {
			last := l.at(l.end - 1)
			gap := last.following()
			gap.stored = last.stored
			l.push(gap)
		}
	}
	if last := l.at(l.end - 1); last != nil {
		e.stored = max(e.stored, last.stored)
	}
	l.push(e)
	if l.len() > maxSegments {
		l.pop()
	}
}

// adopt takes the files that the shelf's segments need, and removes all others that a Store made.
func (s *Store) adopt(sh *shelf, c *contents) {
	for seq := sh.list.first; seq < sh.list.end; seq++ {
		e := sh.list.at(seq)
		s.charge(sh.stream, e.cost())
		s.chargeListed(sh.stream, e.cost())
		s.newest = max(s.newest, min(e.stored, s.opt.Now().UnixNano()))
		if _, known := sh.initSize(e.Init); !known && e.written {
			s.addInit(sh, e.Init, c.inits[e.Init])
		}
	}
	for seq := range c.segments {
		if e := sh.list.at(seq); e == nil || !e.written {
			s.remove(fileName(sh.folder, seq, segmentSuffix))
		}
	}
	for seq := range c.inits {
		if _, known := sh.initSize(seq); !known {
			s.remove(fileName(sh.folder, seq, initSuffix))
		}
	}
	sh.adoptIndexes(s, c.indexes)
	if sh.list.len() == 0 {
		s.remove(sh.folder)
	}
}

// adoptIndexes keeps the index files that have records of the shelf's segments. New records go to a
// new file, as the last one may be torn.
func (sh *shelf) adoptIndexes(s *Store, indexes []int64) {
	for i, seq := range indexes {
		past := i+1 < len(indexes) && indexes[i+1] <= sh.list.first
		if past || sh.list.len() == 0 {
			s.remove(fileName(sh.folder, seq, indexSuffix))
			continue
		}
		sh.indexes = append(sh.indexes, seq)
	}
}

// sortOrder brings the segments of a stream into the order in which they came.
func (st *stream) sortOrder() {
	type place struct {
		stored int64
		shelf  *shelf
	}
	var places []place
	for _, sh := range st.shelves {
		for seq := sh.list.first; seq < sh.list.end; seq++ {
			places = append(places, place{sh.list.at(seq).stored, sh})
		}
	}
	slices.SortStableFunc(places, func(a, b place) int { return cmp.Compare(a.stored, b.stored) })
	st.order = make([]*shelf, len(places))
	for i := range places {
		st.order[i] = places[i].shelf
	}
}
