package segmenter

import (
	"bytes"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"livego/internal/hls/playlist"
	"livego/internal/media"
)

// segments collects the segments that a segmenter makes.
type segments struct {
	*Segmenter
	list    []*playlist.TSSegment
	refusal string
	counts  Counts
	log     bytes.Buffer
}

func cutter(opt Options) *segments {
	s := &segments{}
	if opt.SegmentDuration == 0 {
		opt.SegmentDuration = 3 * time.Second
	}
	if opt.MaxSegmentBytes == 0 {
		opt.MaxSegmentBytes = 64 << 20
	}
	opt.CMAF = true
	opt.First, opt.Log, opt.Counts = 100, slog.New(slog.NewTextHandler(&s.log, nil)), &s.counts
	opt.Publish = func(seg *playlist.TSSegment, _ time.Duration) { s.list = append(s.list, seg) }
	opt.Refuse = func(reason string) { s.refusal = reason }
	opt.Wanted = func() bool { return false }
	s.Segmenter = New(opt)
	return s
}

func (s *segments) feed(units []media.AccessUnit) *segments {
	for i := range units {
		s.Write(&units[i])
	}
	return s
}

// checkMadeAgain: when a window has let go of the bytes of segments, they are made again as they
// were.
func (s *segments) checkMadeAgain(t *testing.T) {
	t.Helper()
	w := &playlist.TSWindow{ListSize: len(s.list), MaxBytes: 1 << 30}
	var sent []string
	for _, seg := range s.list {
		sent = append(sent, string(seg.Data.Bytes()))
	}
	for i := range append(s.list, s.list...) {
		w.Add(s.list[i%len(s.list)])
	}
	runtime.GC()
	for i, seg := range s.list {
		if b := seg.Data.Bytes(); string(b) != sent[i] || len(b) != seg.Data.Size() {
			t.Errorf("segment %d is made of other bytes: %d and %d", seg.Seq, len(b), len(sent[i]))
		}
	}
}

// String lists the segments: number, start, duration, and what is special.
func (s *segments) String() string {
	var b strings.Builder
	for _, seg := range s.list {
		fmt.Fprintf(&b, "%d %v+%v", seg.Seq, seg.Start, seg.Duration)
		if seg.Discontinuity {
			b.WriteString(" discontinuity")
		}
		if !seg.Independent {
			b.WriteString(" dependent")
		}
		b.WriteByte('\n')
	}
	return b.String()
}
