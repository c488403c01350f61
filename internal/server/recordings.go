package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	v1 "livego/internal/api/v1"
	"livego/internal/hls"
	"livego/internal/record"
	"livego/internal/relay"
	"livego/internal/rtmp"
)

// mayRecord says whether there are segments that could be recorded.
func (s *Server) mayRecord() bool {
	return s.opt.Record.Dir != "" && s.opt.HLSAddr != "" && s.opt.HLS.CMAF
}

// openRecorder opens the recorder, if something is to be recorded by these settings or was, and is
// not open.
func (s *Server) openRecorder(n *settings) error {
	o := n.opt.Record
	if !s.mayRecord() || s.recorder() != nil {
		return nil
	}
	wanted := false
	for name := range n.access.apps {
		wanted = wanted || n.mode(name) != record.Off
	}
	if _, err := os.Stat(o.Dir); err != nil && !wanted {
		return nil
	}
	o.Mode, o.List, o.Events, o.Log = s.mode, s.opt.PublicStatus, s.events, s.log
	r, err := record.Open(o)
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	s.records.Store(r)
	return nil
}

// recorder returns the recorder, nil while there is none.
func (s *Server) recorder() *record.Recorder { return s.records.Load() }

// changeRecordings lets streams on air be recorded that are to be so now, and others not any more.
func (s *Server) changeRecordings() {
	if s.recorder() == nil {
		return
	}
	s.recorder().Changed()
	for _, pub := range s.hub.Publications() {
		s.hold(pub.Name().Key())
	}
}

// tap is what packaging tells of segments, nil if there are none.
func (s *Server) tap() hls.Recorder {
	if !s.mayRecord() {
		return nil
	}
	return tap{s}
}

// tap passes segments to the recorder, which a reload may open later.
type tap struct{ *Server }

// Begin implements hls.Recorder.
func (t tap) Begin(stream string) hls.Sink {
	if r := t.recorder(); r != nil {
		return r.Begin(stream)
	}
	return &lateSink{server: t.Server, stream: stream}
}

// lateSink takes the segments of a life that began while there was no recorder.
type lateSink struct {
	server *Server
	stream string
	sink   hls.Sink // nil while there is none
}

// Segment implements hls.Sink.
func (l *lateSink) Segment(segment hls.Segment) {
	if r := l.server.recorder(); r != nil && l.sink == nil {
		l.sink = r.Begin(l.stream)
	}
	if l.sink != nil {
		l.sink.Segment(segment)
	}
}

// End implements hls.Sink.
func (l *lateSink) End() {
	if l.sink != nil {
		l.sink.End()
	}
}

// mode says which streams of an app are recorded.
func (s *Server) mode(app string) record.Mode { return s.now().mode(app) }

func (n *settings) mode(app string) record.Mode {
	a, ok := n.access.apps[app]
	if !ok || !a.HLS || a.Record == "" {
		return record.Off
	}
	return a.Record
}

// hold keeps a stream packaged while it is recorded.
func (s *Server) hold(stream string) {
	if s.recorder() != nil {
		s.holding.Lock() // else what was true before one call would be said after another
		defer s.holding.Unlock()
		s.hls.Hold(stream, s.recorder().Wants(stream))
	}
}

// letGo keeps a stream packaged no more whose recording was stopped, unless another one has begun.
func (s *Server) letGo(stream string) {
	s.holding.Lock()
	defer s.holding.Unlock()
	_, err := s.recorder().Of(stream)
	s.hls.Hold(stream, err == nil)
}

var _ v1.Recordings = resources{}

// Recordings implements v1.Recordings.
func (s resources) Recordings() v1.List[v1.Recording] {
	if s.node != nil {
		return everywhere(s.node, s.recordingsHere(), recordsPath)
	}
	return v1.List[v1.Recording]{Items: s.recordingsHere()}
}

func (s resources) recordingsHere() (all []v1.Recording) {
	if s.recorder() == nil {
		return nil
	}
	for _, r := range s.recorder().List("") {
		all = append(all, s.shownRecording(r))
	}
	return all
}

// What is done about the recording of a stream.
const (
	recordingShow  = "show"
	recordingStart = "start"
	recordingStop  = "stop"
	// recordingDelete is done about one by its id.
	recordingDelete = "delete"
)

// RecordingOf implements v1.Recordings.
func (s resources) RecordingOf(stream string) (v1.Recording, bool) {
	r, err := s.recording(recordingShow, stream)
	return r, err == nil
}

// StartRecording implements v1.Recordings.
func (s resources) StartRecording(stream string) (v1.Recording, error) {
	return s.recording(recordingStart, stream)
}

// StopRecording implements v1.Recordings.
func (s resources) StopRecording(stream string) (v1.Recording, bool) {
	r, err := s.recording(recordingStop, stream)
	return r, err == nil
}

// recording does something about the recording of a stream, where that is, and returns it. It fails
// with one of v1's errors.
func (s resources) recording(what, stream string) (v1.Recording, error) {
	if s.node != nil {
		ctx, cancel := context.WithTimeout(s.node.ctx, statusTimeout)
		defer cancel()
		if home, away := s.node.awayAt(ctx, stream); away {
			return s.node.recordingAt(ctx, home, url.Values{"do": {what}, "stream": {stream}})
		}
	}
	return s.recordingHere(what, stream)
}

func (s resources) recordingHere(what, stream string) (v1.Recording, error) {
	switch {
	case s.recorder() != nil:
	case what == recordingStart:
		return v1.Recording{}, v1.ErrNotRecorded
	default:
		return v1.Recording{}, v1.ErrNoRecording
	}
	var r record.Recording
	var err error
	switch what {
	case recordingStart:
		if r, err = s.recorder().Start(stream); err == nil {
			s.hold(stream)
		}
	case recordingStop:
		if r, err = s.recorder().Stop(stream); err == nil {
			s.letGo(stream)
		}
	default:
		r, err = s.recorder().Of(stream)
	}
	switch {
	case errors.Is(err, record.ErrOff):
		err = v1.ErrNotRecorded
	case errors.Is(err, record.ErrOffAir):
		err = v1.ErrNotPackaged
	case errors.Is(err, record.ErrNotFound):
		err = v1.ErrNoRecording
	}
	return s.shownRecording(r), err
}

// DeleteRecording implements v1.Recordings.
func (s resources) DeleteRecording(id string) error {
	err := s.deleteRecordingHere(id)
	if s.node == nil || !errors.Is(err, v1.ErrNoRecording) {
		return err
	}
	o, err := s.node.recordedAt(id)
	if err != nil {
		if errors.Is(err, errNoPlace) {
			err = v1.ErrNodeSilent
		}
		return err
	}
	ctx, cancel := context.WithTimeout(s.node.ctx, statusTimeout)
	defer cancel()
	_, err = s.node.recordingAt(ctx, o, url.Values{"do": {recordingDelete}, "id": {id}})
	return err
}

func (s resources) deleteRecordingHere(id string) error {
	if s.recorder() == nil {
		return v1.ErrNoRecording
	}
	err := s.recorder().Delete(id)
	switch {
	case errors.Is(err, record.ErrNotFound):
		return v1.ErrNoRecording
	case errors.Is(err, record.ErrUnderWay):
		return v1.ErrRecordingGoesOn
	}
	return err
}

// shownRecording is a recording as the API shows it.
func (s resources) shownRecording(r record.Recording) v1.Recording {
	path := url.URL{Path: record.Path + r.Stream + "/" + r.ID + "/index.m3u8"}
	shown := v1.Recording{
		Node: s.nodeID(), ID: r.ID, Stream: r.Stream, State: string(r.State), Reason: r.Reason, Started: r.Started, Ended: r.Ended,
		Duration: r.Duration, Bytes: r.Bytes, Lost: r.Lost, Path: path.EscapedPath(), Renditions: []v1.RecordingRendition{},
	}
	for _, d := range r.Renditions {
		shown.Renditions = append(shown.Renditions, v1.RecordingRendition(d))
	}
	return shown
}

// onHLS serves what the HLS port has: recordings, streams and their pages.
func (s *Server) onHLS(w http.ResponseWriter, r *http.Request) {
	if stream, id := s.recorded(r.URL.Path); stream != "" {
		app, ok := s.app(nameOf(stream).App)
		switch {
		case !ok || !app.HLS:
		case s.node != nil && s.node.serveRecordingElsewhere(w, r, id):
			return
		case s.recorder() != nil:
			s.recorder().ServeHTTP(w, r)
			return
		}
	}
	if stream := posterStream(r.URL.Path); stream != "" {
		if app, ok := s.app(nameOf(stream).App); ok && app.HLS {
			if s.node == nil || !s.node.servePosterElsewhere(w, r, stream) {
				s.servePoster(w, r, stream)
			}
			return
		}
	}
	if path := r.Header[relay.HeaderPath]; path != nil && s.isCircle(w, r, rtmp.SplitPath(path[0])) {
		return
	}
	s.watch.ServeHTTP(w, r)
}

// recorded returns of which stream and of which recording a path is; the stream is empty if it is
// of none, or nothing can have been recorded.
func (s *Server) recorded(path string) (stream, id string) {
	if s.recorder() == nil && s.node == nil {
		return "", ""
	}
	return record.Names(path)
}

// closeRecorder puts what waits on the disk, until a time.
func (s *Server) closeRecorder(until time.Time) {
	if s.recorder() == nil {
		return
	}
	ctx, cancel := context.WithDeadline(context.Background(), until)
	defer cancel()
	if err := s.recorder().Close(ctx); err != nil {
		s.log.Error("segments of recordings are lost", "err", err)
	}
}
