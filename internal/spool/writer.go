package spool

import (
	"errors"
	"slices"
	"time"
)

const (
	// indexRecords is how many records an index file gets. The file goes when all of its segments
	// are gone.
	indexRecords = 256
	// maxUnsaved bounds the records that wait for a disk that is full.
	maxUnsaved = 64 << 10
	// sweepBatch is how many segments are removed before a segment that waits is written.
	sweepBatch = 64
	// calm is for how long nothing may get lost before the log says that all is well: one line per
	// trouble, not one per segment.
	calm = time.Minute
)

var (
	errSlow   = errors.New("the disk is too slow")
	errNoInit = errors.New("init segment is missing")
)

// job is a segment to write, or with mark the record of a life's beginning or end. With reserved it
// is the reservation of a stream.
type job struct {
	reserved *stream
	shelf    *shelf
	seq      int64
	init     []byte
	pieces   [][]byte
	bytes    int
	mark     byte
}

// enqueue hands a job to the writer. The caller holds mu.
func (s *Store) enqueue(j job) {
	if len(s.queue) >= 2*maxQueued {
		return // a record is lost, of a gap: the next start finds a hole and makes it a gap
	}
	s.queue = append(s.queue, j)
	s.queued += j.bytes
	s.notify()
}

// run writes and removes until the store is closed.
func (s *Store) run() {
	defer close(s.done)
	defer s.unlock()
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for !s.abandoned() {
		j, ok, closed := s.take()
		more := s.sweep()
		switch {
		case ok:
			s.do(&j)
			continue
		case more:
			continue
		case closed:
			return
		}
		select {
		case <-s.wake:
		case <-tick.C:
		case <-s.abandon:
		}
	}
}

func (s *Store) abandoned() bool {
	select {
	case <-s.abandon:
		return true
	default:
		return false
	}
}

func (s *Store) take() (j job, ok, closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = len(s.queue) > 0 || len(s.reservations) > 0
	if len(s.reservations) > 0 {
		st := s.reservations[0]
		s.reservations = slices.Delete(s.reservations, 0, 1)
		st.reserving = false
		return job{reserved: st, seq: st.reserved}, true, s.closed
	}
	if !s.busy {
		s.queue = nil
		return job{}, false, s.closed
	}
	j = s.queue[0]
	s.queue[0] = job{}
	s.queue = s.queue[1:]
	return j, true, s.closed
}

// sweep removes files of segments that are due; more says that there are others. What is too many
// bytes goes at once.
func (s *Store) sweep() (more bool) {
	var paths []string
	s.mu.Lock()
	now := s.now()
	s.unlist(now)
	st := s.due(now)
	for n := 0; st != nil && (n < sweepBatch || s.bytes > s.opt.MaxBytes); n++ {
		paths = s.evict(st, paths)
		st = s.due(now)
	}
	s.mu.Unlock()
	for _, path := range paths {
		s.remove(path)
	}
	return st != nil
}

// remove removes a file; what cannot be removed stays until the next start.
func (s *Store) remove(path string) {
	if err := s.disk.remove(path); err != nil {
		s.log.Debug("stored segment not removed", "path", path, "error", err)
	}
}

// do writes a segment and its record.
func (s *Store) do(j *job) {
	if !s.ready {
		if err := s.prepare(); err != nil {
			s.lose(j, err)
			return
		}
	}
	if j.reserved != nil {
		s.report(s.saveReservation(j.reserved, j.seq))
		return
	}
	if j.mark != 0 {
		s.report(s.save(j.shelf, j.seq, func(b []byte) []byte { return appendMark(b, j.mark, j.seq) }))
		return
	}
	s.mu.Lock()
	e := j.shelf.list.at(j.seq)
	if e == nil { // it had to go already
		s.queued -= j.bytes
		s.mu.Unlock()
		return
	}
	seg := *e
	s.mu.Unlock()

	var err error
	if !seg.Gap {
		if err = s.write(j, &seg); err != nil {
			seg = seg.blankStored()
		}
	}
	s.mu.Lock()
	init, _ := j.shelf.initSize(seg.Init)
	s.mu.Unlock()
	if failed := s.save(j.shelf, j.seq, func(b []byte) []byte { return appendSegment(b, &seg, init) }); err == nil {
		err = failed
	}
	s.settle(j, &seg)
	s.report(err)
}

// lose makes the segment of a job a gap.
func (s *Store) lose(j *job, err error) {
	if j.reserved == nil && j.mark == 0 {
		s.mu.Lock()
		e := j.shelf.list.at(j.seq)
		s.queued -= j.bytes
		if e != nil && !e.Gap {
			s.blank(j.shelf, e)
		}
		s.mu.Unlock()
	}
	s.report(err)
}

// blankStored is a gap that came at the same time.
func (e *Segment) blankStored() Segment {
	gap := e.blank(e.Seq)
	gap.stored = e.stored
	return gap
}

// write writes the files of a segment.
func (s *Store) write(j *job, seg *Segment) error {
	sh := j.shelf
	s.mu.Lock()
	_, there := sh.initSize(seg.Init)
	s.mu.Unlock()
	if !there {
		if len(j.init) == 0 {
			return errNoInit
		}
		if err := s.disk.write(fileName(sh.folder, seg.Init, initSuffix), j.init); err != nil {
			return err
		}
		s.mu.Lock()
		s.addInit(sh, seg.Init, int64(len(j.init)))
		s.mu.Unlock()
	}
	return s.disk.write(fileName(sh.folder, j.seq, segmentSuffix), j.pieces...)
}

// save appends a record to the shelf's index.
func (s *Store) save(sh *shelf, seq int64, record func([]byte) []byte) error {
	x := &sh.index
	if len(x.unsaved) == 0 && (x.path == "" || x.records >= indexRecords) {
		*x = indexEnd{path: fileName(sh.folder, seq, indexSuffix)}
		s.mu.Lock()
		sh.indexes = append(sh.indexes, seq)
		s.mu.Unlock()
	}
	x.unsaved = record(x.unsaved)
	x.records++
	if err := s.disk.writeAt(x.path, x.offset, x.unsaved); err != nil {
		if len(x.unsaved) > maxUnsaved {
			x.unsaved = nil
		}
		return err
	}
	x.offset += int64(len(x.unsaved))
	x.unsaved = x.unsaved[:0]
	return nil
}

// settle notes what became of a segment.
func (s *Store) settle(j *job, seg *Segment) {
	s.mu.Lock()
	s.queued -= j.bytes
	e := j.shelf.list.at(j.seq)
	late := e.Gap && !seg.Gap // it was listed as a gap meanwhile
	switch {
	case late || e.Gap:
	case seg.Gap:
		s.blank(j.shelf, e)
	default:
		e.written = true
	}
	s.mu.Unlock()
	if late {
		s.remove(fileName(j.shelf.folder, j.seq, segmentSuffix))
	}
}

// report logs the beginning of trouble, and its end.
func (s *Store) report(err error) {
	s.mu.Lock()
	now, was := s.opt.Now(), s.failing
	if err != nil {
		s.failed = now
	}
	s.failing = err != nil || was && now.Sub(s.failed) < calm
	is, lost := s.failing, s.lost
	s.mu.Unlock()
	switch {
	case is && !was:
		s.log.Warn("segments get lost for rewinding, the live stream goes on: make room on the disk or lower hls_dvr_max_bytes, or use a faster disk",
			"dir", s.opt.Dir, "error", err)
	case was && !is:
		s.log.Info("segments for rewinding are stored again", "dir", s.opt.Dir, "lost", lost)
	}
}
