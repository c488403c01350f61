package record

import (
	"slices"
	"strings"
	"time"
)

// Stats are figures of a Recorder.
type Stats struct {
	// Active are the recordings that are not complete, Complete the others.
	Active, Complete int
	// Queued is what waits for the local disk, Spooled what waits there for the bucket, in bytes.
	Queued  int
	Spooled int64
	// Stored and Bytes count the files that were stored in the bucket, Took is how long that took,
	// Failed how often it failed and was tried again. Lost counts segments that are missing in
	// recordings.
	Stored, Failed, Lost uint64
	Bytes                int64
	Took                 time.Duration
}

// Wants says whether a stream that begins is, or may go on being, recorded.
func (r *Recorder) Wants(stream string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.active[stream] != nil || r.opt.Mode(appOf(stream)) == All
}

// Start begins the recording of a stream that is on air, or returns the one that is under way. It
// fails with ErrOff and ErrOffAir.
func (r *Recorder) Start(stream string) (Recording, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rec := r.active[stream]; rec != nil {
		return rec.snapshot(), nil
	}
	l := r.lives[stream]
	switch {
	case r.opt.Mode(appOf(stream)) == Off:
		return Recording{}, ErrOff
	case l == nil || r.closed:
		return Recording{}, ErrOffAir
	}
	l.stopped = false // what was stopped takes on what its other renditions have up to there: l.older
	l.recording = r.begin(l, true, l.newest+1, time.Now())
	return l.recording.snapshot(), nil
}

// Stop ends the recording of a stream, which is not recorded again before its next life unless
// Start says so. It fails with ErrNotFound.
func (r *Recorder) Stop(stream string) (Recording, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rec := r.active[stream]
	if rec == nil {
		return Recording{}, ErrNotFound
	}
	if l := r.lives[stream]; l != nil {
		l.stopped = true
		if l.recording == rec {
			l.older, l.recording = rec, nil
		}
	}
	r.end(rec, "stopped by the API")
	if rec.life == nil {
		r.finish(rec)
	}
	return rec.snapshot(), nil
}

// Changed is to be called when Options.Mode says something else than before: recordings end of
// streams that are not to be recorded any more. Others begin by themselves.
func (r *Recorder) Changed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for stream, rec := range r.active {
		if mode := r.opt.Mode(appOf(stream)); mode == All || mode == ByAPI && rec.Manual {
			continue
		}
		if l := rec.life; l != nil && l.recording == rec {
			l.older, l.recording = rec, nil
		}
		r.end(rec, "record was switched off")
		if rec.life == nil {
			r.finish(rec)
		}
	}
}

// Of returns the recording of a stream that is under way. It fails with ErrNotFound.
func (r *Recorder) Of(stream string) (Recording, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rec := r.active[stream]; rec != nil {
		return rec.snapshot(), nil
	}
	return Recording{}, ErrNotFound
}

// List returns the recordings of a stream, or with "" all of them, the newest first.
func (r *Recorder) List(stream string) []Recording {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]Recording, 0, len(r.open)+len(r.done))
	for _, rec := range r.open {
		if stream == "" || stream == rec.Stream {
			all = append(all, rec.snapshot())
		}
	}
	for _, e := range r.done {
		if stream == "" || stream == e.Stream {
			all = append(all, e.Recording)
		}
	}
	slices.SortFunc(all, func(a, b Recording) int {
		if c := b.Started.Compare(a.Started); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return all
}

// Get returns a recording. It fails with ErrNotFound.
func (r *Recorder) Get(id string) (Recording, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rec := r.open[id]; rec != nil {
		return rec.snapshot(), nil
	}
	if e := r.done[id]; e != nil {
		return e.Recording, nil
	}
	return Recording{}, ErrNotFound
}

// Delete deletes a recording that is complete: it is gone at once, and its files soon. It fails
// with ErrNotFound and ErrUnderWay.
func (r *Recorder) Delete(id string) error {
	r.mu.Lock()
	e, under := r.done[id], r.open[id] != nil
	r.mu.Unlock()
	switch {
	case under:
		return ErrUnderWay
	case e == nil:
		return ErrNotFound
	}
	return r.discard(e)
}

// Stats returns the figures of now.
func (r *Recorder) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	st := r.stats
	st.Active, st.Complete, st.Queued, st.Spooled = len(r.open), len(r.done), r.queued, r.spooled
	return st
}
