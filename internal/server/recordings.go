package server

import (
	"context"
	"fmt"
	"os"
	"time"

	"livego/internal/hls"
	"livego/internal/record"
)

// RecordOptions says how streams are recorded; the fields are as in record.Options.
type RecordOptions struct {
	Dir, To       string
	Name          record.Template
	Join, Keep    time.Duration
	MaxSpoolBytes int64
}

// openRecorder opens the recorder, if something is to be recorded or was.
func (s *Server) openRecorder() error {
	o := &s.opt.Record
	if o.Dir == "" || s.opt.HLSAddr == "" || s.opt.HLSNoCMAF {
		return nil
	}
	wanted := false
	for _, name := range s.appNames() {
		wanted = wanted || s.mode(name) != record.Off
	}
	if _, err := os.Stat(o.Dir); err != nil && !wanted {
		return nil
	}
	r, err := record.Open(record.Options{
		Dir: o.Dir, To: o.To, Name: o.Name, Mode: s.mode, Join: o.Join, Keep: o.Keep, MaxSpoolBytes: o.MaxSpoolBytes,
		Events: s.events, Log: s.log,
	})
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	s.recorder = r
	return nil
}

// tap is what packaging tells of segments, nil if nobody wants them.
func (s *Server) tap() hls.Recorder {
	if s.recorder == nil {
		return nil
	}
	return s.recorder
}

// mode says which streams of an app are recorded.
func (s *Server) mode(app string) record.Mode {
	a, ok := s.app(app)
	if !ok || !a.HLS || a.Record == "" {
		return record.Off
	}
	return a.Record
}

// hold keeps a stream packaged while it is recorded.
func (s *Server) hold(stream string) {
	if s.recorder != nil {
		s.hls.Hold(stream, s.recorder.Wants(stream))
	}
}

// StartRecording begins the recording of a stream ("app/stream"), or returns the one that is under way. Errors are those of
// record.Recorder.
func (s *Server) StartRecording(stream string) (record.Recording, error) {
	if s.recorder == nil {
		return record.Recording{}, record.ErrOff
	}
	r, err := s.recorder.Start(stream)
	s.hold(stream)
	return r, err
}

// StopRecording ends the recording of a stream.
func (s *Server) StopRecording(stream string) (record.Recording, error) {
	if s.recorder == nil {
		return record.Recording{}, record.ErrNotFound
	}
	r, err := s.recorder.Stop(stream)
	if err == nil {
		s.hls.Hold(stream, false)
	}
	return r, err
}

// Recorder returns the recorder, nil if nothing is recorded.
func (s *Server) Recorder() *record.Recorder { return s.recorder }

// closeRecorder puts what waits on the disk, until a time.
func (s *Server) closeRecorder(until time.Time) {
	if s.recorder == nil {
		return
	}
	ctx, cancel := context.WithDeadline(context.Background(), until)
	defer cancel()
	if err := s.recorder.Close(ctx); err != nil {
		s.log.Error("segments of recordings are lost", "err", err)
	}
}
