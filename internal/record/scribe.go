package record

import (
	"bufio"
	"bytes"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"livego/internal/event"
	"livego/internal/hls"
)

// errSlow says that what waits for the local disk is too much.
var errSlow = errors.New("the disk is too slow")

// job is a segment for the local disk.
type job struct {
	rec    *recording
	line   segmentLine
	piece  *piece
	init   []byte // with the first segment that has it
	pieces [][]byte
	bytes  int
	// rendition is what is new of it, nil if that is nothing.
	rendition *hls.Description
	// drop is a file that is to go from the local disk, and nothing else is to be done.
	drop *object
}

// sumOf is the checksum of files.
func sumOf(pieces ...[]byte) (sum uint32) {
	table := castagnoli()
	for _, p := range pieces {
		sum = crc32.Update(sum, table, p)
	}
	return sum
}

// castagnoli is the table of CRC-32C, for which processors have an instruction.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// take puts a segment in line for the local disk. The caller holds mu.
func (r *Recorder) take(rec *recording, s *hls.Segment, now time.Time) {
	t := &rec.timeline
	track, news := t.describe(s.Description)
	p := &piece{seq: s.Seq, duration: s.Duration, dates: s.Dates}
	j := job{rec: rec, piece: p}
	if !s.Gap {
		number := strconv.FormatInt(s.Seq, 10)
		j.pieces = s.Pieces
		p.file = &object{name: s.ID + "/" + number + segmentSuffix, piece: p}
		for _, b := range s.Pieces {
			p.file.size += len(b)
		}
		if p.init = track.init; !track.has(s.Init) {
			p.init = &object{name: s.ID + "/" + number + initSuffix, size: len(s.Init), sum: sumOf(s.Init)}
			j.init = s.Init
		}
		j.bytes = p.file.size + len(j.init)
	}
	place := slot{seq: s.Seq, start: s.Start, duration: s.Duration, at: s.At, discontinuity: s.Discontinuity}
	if !t.add(track, p, &place, s.Target, s.Independent) {
		if !s.Gap && s.Seq >= t.from {
			r.stats.Lost++
		}
		return
	}
	if j.init != nil {
		track.inits, track.content = append(track.inits, p.init), s.Init
	}
	if news {
		d := track.Description
		j.rendition = &d
	}
	if p.file != nil && (r.queued+j.bytes > maxQueued || len(r.queue) >= maxJobs) {
		r.report(&r.disk, errSlow, "segments of recordings get lost, the live stream goes on: use a faster disk for data_dir")
		r.lose(p.file)
		if j.init != nil {
			p.init.state = lost
		}
		j.pieces, j.init, j.bytes = nil, nil, 0
	}
	j.line = segmentLine{
		Rendition: s.ID, Seq: s.Seq, Start: s.Start, Duration: s.Duration, Target: s.Target,
		Discontinuity: s.Discontinuity, Independent: s.Independent, Dates: s.Dates, Came: now.UnixMilli(),
	}
	if !s.At.IsZero() {
		j.line.At = s.At.UnixMilli()
	}
	r.queue = append(r.queue, j)
	r.queued += j.bytes
	rec.jobs++
	select {
	case r.taken <- struct{}{}:
	default:
	}
}

// has says that a rendition's newest initialization section has that content.
func (r *track) has(content []byte) bool {
	switch {
	case r.init == nil || r.init.state == lost:
		return false
	case r.content != nil:
		return bytes.Equal(r.content, content)
	}
	return r.init.size == len(content) && r.init.sum == sumOf(content) // it was read from a journal
}

// lose notes that a segment will be missing. The caller holds mu.
func (r *Recorder) lose(f *object) {
	f.state = lost
	r.stats.Lost++
}

// scribe writes to the local disk, and looks at deadlines, until the Recorder is closed.
func (r *Recorder) scribe() {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	var swept time.Time
	for {
		r.mu.Lock()
		j, ok := r.next()
		changed, closed := r.changed, r.closed
		r.mu.Unlock()
		if ok {
			r.write(&j)
			continue
		}
		if closed {
			return
		}
		select {
		case <-changed:
		case <-r.taken:
		case now := <-ticker.C:
			r.look(now)
			if now.Sub(swept) >= sweepEvery {
				r.sweep(now)
				swept = now
			}
		}
	}
}

// next takes the next job. The caller holds mu.
func (r *Recorder) next() (j job, ok bool) {
	select {
	case <-r.lifted:
		return j, false
	default:
	}
	if len(r.queue) == 0 {
		r.queue = nil
		return j, false
	}
	j = r.queue[0]
	r.queue[0] = job{}
	r.queue = r.queue[1:]
	return j, true
}

// write writes a segment, and its line of the journal when it is whole.
func (r *Recorder) write(j *job) {
	rec, p := j.rec, j.piece
	if j.drop != nil {
		_ = rec.journal.append(&line{Lost: j.drop.name}) // if not, a start looks for the file and does not find it
		_ = os.Remove(rec.path(j.drop))                  // if it stays, it goes with the folder
		r.mu.Lock()
		rec.jobs--
		r.mu.Unlock()
		return
	}
	var err error
	if j.init != nil {
		err = r.opt.disk(rec.path(p.init), j.init)
	}
	initFailed := err != nil
	var sum uint32
	if j.pieces != nil && err == nil {
		sum = sumOf(j.pieces...)
		err = r.opt.disk(rec.path(p.file), j.pieces...)
	}
	r.mu.Lock()
	if initFailed {
		p.init.state = lost
	}
	if err != nil {
		r.lose(p.file)
	} else if j.pieces != nil {
		p.file.sum = sum
	}
	if p.file != nil && p.file.state != lost && p.init.state == lost {
		r.lose(p.file) // nothing plays it
	}
	j.line.File, j.line.Init = lineOf(p.file), lineOf(p.init)
	r.mu.Unlock()
	failed := rec.journal.append(&line{Rendition: j.rendition, Segment: &j.line})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queued -= j.bytes
	rec.jobs--
	if err == nil && failed != nil && p.file != nil && p.file.state == waiting {
		r.lose(p.file)
		if j.init != nil {
			p.init.state = lost
		}
		err = failed
	}
	r.report(&r.disk, err, "segments of recordings get lost, the live stream goes on: make room on the disk of data_dir, or see to its rights")
	if j.init != nil && p.init.state == waiting {
		r.spool(rec, p.init)
	}
	if p.file != nil && p.file.state == waiting {
		r.spool(rec, p.file)
	}
	r.trim()
	r.wake()
}

// spool puts a file in line for the bucket. The caller holds mu.
func (r *Recorder) spool(rec *recording, f *object) {
	f.state, f.written = spooled, time.Now()
	rec.pending = append(rec.pending, f)
	rec.spooled += int64(f.size)
	r.spooled += int64(f.size)
}

// unspool notes that a file is not on the local disk any more. The caller holds mu.
func (r *Recorder) unspool(rec *recording, f *object) {
	if f.unsure {
		return // it was not
	}
	rec.spooled -= int64(f.size)
	r.spooled -= int64(f.size)
}

// trim keeps what waits for the bucket within its bound: the recording that takes most loses its
// oldest segments. The caller holds mu.
func (r *Recorder) trim() {
	for r.spooled > r.opt.MaxSpoolBytes {
		var most *recording
		for _, rec := range r.open {
			if rec.oldest() >= 0 && (most == nil || rec.spooled > most.spooled) {
				most = rec
			}
		}
		if most == nil {
			return
		}
		i := most.oldest()
		f := most.pending[i]
		most.pending = append(most.pending[:i:i], most.pending[i+1:]...)
		r.lose(f)
		r.unspool(most, f)
		r.queue = append(r.queue, job{rec: most, drop: f})
		most.jobs++
		r.report(&r.far, errSpoolFull, "segments of recordings get lost, the live stream goes on: the place of record_to has taken too little for too long")
	}
}

var errSpoolFull = errors.New("record_spool_bytes are used up")

// oldest is the index of the oldest segment that waits for the bucket, -1 if none does.
func (rec *recording) oldest() int {
	for i, f := range rec.pending {
		if f.piece != nil && !f.unsure {
			return i
		}
	}
	return -1
}

func (rec *recording) path(f *object) string {
	return filepath.Join(rec.dir, filepath.FromSlash(f.name))
}

// writeSize is how much is written at a time: pieces are many and small.
const writeSize = 64 << 10

// writeFile writes a file, and makes its folder. After an error there is none, if that can be
// helped.
func writeFile(path string, pieces ...[]byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, writeSize)
	for _, p := range pieces {
		_, _ = w.Write(p) // Flush has the error
	}
	if err = errors.Join(w.Flush(), f.Close()); err != nil {
		_ = os.Remove(path) // the first error says it all
	}
	return err
}

const (
	// showSegments and showEvery are when playlists are written again while a recording goes on.
	showSegments = 10
	showEvery    = 30 * time.Second
)

// look acts on what time brought.
func (r *Recorder) look(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rec := range r.opened() {
		if !rec.deadline.IsZero() && !now.Before(rec.deadline) {
			r.finish(rec)
		}
		rec.timeline.advance(rec.life == nil && rec.jobs == 0)
		if t := &rec.timeline; t.listed-rec.shown >= showSegments || t.listed > rec.shown && now.Sub(rec.published) >= showEvery {
			rec.flush = true
		}
	}
	r.report(&r.disk, nil, "")
	r.report(&r.far, nil, "")
	r.wake()
}

// complete notes that all of a recording is stored.
func (r *Recorder) complete(rec *recording) {
	rec.journal.close()
	e := rec.entry
	_ = os.MkdirAll(rec.dir, 0o700) // there is none if nothing came; save says what is wrong
	if err := e.save(rec.dir); err != nil {
		r.log.Error("recording not noted as complete: it is looked at again at the next start", "recording", rec.ID, "err", err)
	} else {
		clean(rec.dir)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spooled -= rec.spooled
	delete(r.open, rec.ID)
	r.order = nil
	r.done[rec.ID] = &e
	if rec.State == Broken {
		rec.log.Error("recording failed", "reason", rec.Reason)
		r.tell(event.RecordingFailed, rec)
		return
	}
	rec.log.Info("recorded", "duration", time.Duration(rec.Duration*float64(time.Second)), "bytes", rec.Bytes, "segments_lost", rec.Lost)
	r.tell(event.RecordingCompleted, rec)
}

// clean removes what a recording that is complete needs no more.
func clean(dir string) {
	entries, _ := os.ReadDir(dir) // what stays does no harm
	for _, e := range entries {
		if e.Name() != recordingName {
			_ = os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
}
