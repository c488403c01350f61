package spool

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	// reserveAhead is how many numbers a life may use before it says so on disk, and reserveLeft
	// with how many left it says so anew: for so many segments the disk may stand still before a
	// killed process leaves numbers behind that nobody knows of. After a kill those that are left
	// are gaps.
	reserveAhead = 12
	reserveLeft  = 8
	// reserveHead stands before two copies of the record of a reservation. They are written over in
	// place, which works on a full disk too.
	reserveHead = "livego reserves\n"
)

// reserve says that a stream may use all numbers before next. It is written before anything that
// waits for the disk. The caller holds mu.
func (s *Store) reserve(st *stream, next int64) {
	st.reserved = next
	if !st.reserving {
		st.reserving = true
		s.reservations = append(s.reservations, st)
	}
	s.notify()
}

// renew reserves further numbers for a life that uses all up to seq. The caller holds mu.
func (l *Life) renew(seq int64) {
	if st := l.stream; st.reserved-seq <= reserveLeft {
		l.store.reserve(st, seq+1+reserveAhead)
	}
}

// saveReservation writes the reservation of a stream, which is the number next, over both copies
// one after the other, first over the one that may be torn, so that the other is whole wherever the
// process is killed. The caller is the writer.
func (s *Store) saveReservation(st *stream, next int64) (err error) {
	path, record := filepath.Join(st.folder, reserveFile), appendMark(nil, reserveRecord, next)
	if !st.noted {
		err = s.disk.write(path, []byte(reserveHead), record, record)
		st.noted = err == nil
		return err
	}
	for range 2 {
		other := 1 - st.whole
		if err = s.disk.writeAt(path, int64(len(reserveHead)+other*len(record)), record); err != nil {
			break
		}
		st.whole = other
	}
	st.noted = !errors.Is(err, fs.ErrNotExist)
	return err
}

// readReservation reads what an earlier process reserved: the larger number, if it was killed
// between the copies. What cannot be read is none: the records of segments say enough unless the
// disk stood still.
func (st *stream) readReservation() {
	data, err := os.ReadFile(filepath.Join(st.folder, reserveFile))
	if err != nil {
		return
	}
	const length = frameSize + markSize
	for copies := range 2 {
		at := len(reserveHead) + copies*length
		if at+length > len(data) {
			return
		}
		if r, _, err := parseRecord(data[at:]); err == nil && r.kind == reserveRecord && r.next > st.reserved {
			st.reserved, st.noted, st.whole = r.next, true, copies
		}
	}
}
