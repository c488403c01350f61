package server

import (
	"context"
	"sync"
	"time"

	"livego/internal/hls"
	"livego/internal/live"
	"livego/internal/record"
)

// output is what runs beside every publication: a packager, a recorder, a push. It is called when a
// publication comes to life, before anybody else hears of it, and must not wait. What it returns
// runs in a goroutine of its own until the publication or ctx ends; nil: this publication has none.
// An error that says that the publication cannot be what it wants to be (misaligned) ends it.
type output func(*live.Publication) (run func(ctx context.Context) error)

// begin starts the outputs of a publication that comes to life.
func (s *Server) begin(pub *live.Publication) {
	ctx, beside := s.outCtx, new(sync.WaitGroup)
	if s.node != nil {
		w := s.node.startWriting(pub)
		ctx, beside = w.ctx, &w.running
	}
	for _, o := range s.outputs {
		run := o(pub)
		if run == nil {
			continue
		}
		beside.Add(1)
		write := func() {
			defer beside.Done()
			s.endOutput(ctx, pub, run(ctx))
		}
		if !s.writers.Go(write) {
			write() // shutting down: it ends at once
		}
	}
	s.pulls.rested.forget(live.Name{App: pub.Name().App, Stream: pub.Name().Stream})
}

// endOutput looks at why an output ended.
func (s *Server) endOutput(ctx context.Context, pub *live.Publication, err error) {
	switch {
	case err == nil, ctx.Err() != nil:
	case misaligned(err):
		pub.Evict(err)
	default:
		s.log.Error("output ended", "stream", pub.Name().String(), "err", err)
	}
}

// keptForHLS is how much is kept of a publication that is packaged on demand: its first viewer gets
// segments of it at once.
const keptForHLS = 5 * time.Second

// outputHLS packages a publication for HLS: while somebody watches, or always.
func (s *Server) outputHLS(pub *live.Publication) func(context.Context) error {
	name, reader := pub.Name(), live.ReaderOptions{GOPs: -1, Settled: true, Lazy: true}
	if app, ok := s.app(name.App); !ok || !app.HLS || !s.opt.servesHLS() {
		return nil
	}
	s.hold(name.Key())
	// At once: whoever hears of the stream may ask for its playlist.
	if s.opt.HLSOnDemand && !s.opt.HLS.KeepAfterEnd {
		pub.Keep(keptForHLS)
		run := s.hls.Offer(name.Key(), name.Rendition)
		return func(ctx context.Context) error {
			return run(ctx, func() hls.Source { return pub.NewReader(reader) }, pub.Done())
		}
	}
	r := pub.NewReader(reader)
	run := s.hls.Begin(name.Key(), name.Rendition)
	return func(ctx context.Context) error {
		defer r.Close()
		return run(ctx, r)
	}
}

// outputFLV records a publication as FLV.
func (s *Server) outputFLV(pub *live.Publication) func(context.Context) error {
	name, r := pub.Name(), pub.NewReader(live.ReaderOptions{GOPs: -1, Settled: true, Lazy: true})
	return func(ctx context.Context) error {
		defer r.Close()
		return s.archive.Write(ctx, &record.Stream{App: name.App, Name: name.Stream, Rendition: name.Rendition, Reader: r, Skipped: r.Skipped})
	}
}
