package server

import (
	"path/filepath"
	"testing"
	"time"

	"livego/internal/record"
)

// recordingTo has streams recorded below a folder.
func recordingTo(t *testing.T, dir string, mode record.Mode) func(*Options) {
	return func(o *Options) {
		o.HLSOnDemand, o.HLS.SegmentDuration, o.Apps[0].Record = true, time.Second, mode
		name, err := record.ParseTemplate("{app}/{stream}/{id}")
		if err != nil {
			t.Fatal(err)
		}
		o.Record = record.Options{Dir: filepath.Join(dir, "spool"), To: filepath.Join(dir, "recordings"), Name: name}
	}
}

// performUntil performs the clip again and again, its times beginning anew, until stop is called.
func (e *encoder) performUntil(t *testing.T) (stop func()) {
	over, performed := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(performed)
		for tags := clip(t); ; {
			select {
			case <-over:
				return
			default:
				e.perform(t, tags, 1)
			}
		}
	}()
	return func() { close(over); <-performed }
}

// TestReloadRecord: a reload lets a stream on air be recorded, ends that, and begins it anew, also
// where nothing was ever recorded before.
func TestReloadRecord(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mode := func(m record.Mode) func(*Options) { return recordingTo(t, dir, m) }
	s := start(t, mode(record.Off))
	if s.recorder() != nil {
		t.Error("there is a recorder for nothing")
	}
	e := publish(t, s, "movie")
	defer e.performUntil(t)()
	for n := range 2 {
		if err := s.reload(mode(record.All)); err != nil {
			t.Fatal(err)
		}
		var id string
		eventually(t, "it is recorded", func() bool {
			r, err := s.recorder().Of("live/movie")
			id = r.ID
			return err == nil && r.Bytes > 0
		})
		if err := s.reload(mode(record.Off)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the recording is complete", func() bool {
			r, err := s.recorder().Get(id)
			return err == nil && r.State == record.Complete
		})
		if r, _ := s.recorder().Get(id); r.Reason != "record was switched off" || r.Lost != 0 {
			t.Errorf("%+v", r)
		}
		wantEqual(t, "recordings", len(s.recorder().List("")), n+1)
	}
	wantEqual(t, "publishers so far", s.logs.count("publisher on air"), 1)
}
