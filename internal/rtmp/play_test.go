package rtmp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"livego/internal/amf"
)

// started is a playback that has called Start.
type started struct {
	request *PlayRequest
	control *testControl
	nc      net.Conn
	ctx     context.Context
	// end is what Play is to return. Closed: the cause of ctx, when that ends.
	end chan error
}

// playing is a handler that starts each playback, writes the replies, and hands the playback to the
// test.
func playing() (*testHandler, <-chan *started) {
	all := make(chan *started, 10)
	return &testHandler{play: func(ctx context.Context, r *PlayRequest, s *PlayStream) error {
		p, err := start(ctx, r, s)
		if err != nil {
			return err
		}
		all <- p
		select {
		case err := <-p.end:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}}, all
}

// detached is playing with playbacks that go on after Play.
func detached() (*testHandler, <-chan *started) {
	all := make(chan *started, 10)
	return &testHandler{play: func(ctx context.Context, r *PlayRequest, s *PlayStream) error {
		ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
		p, err := start(ctx, r, s)
		if err != nil {
			cancel(err)
			return err
		}
		over := make(chan error, 1)
		go func() {
			var err error
			select {
			case err = <-p.end:
			case <-ctx.Done():
				err = context.Cause(ctx)
			}
			s.Over(err)
			over <- err
		}()
		s.Detach(func(cause error) error {
			cancel(cause)
			return <-over
		})
		all <- p
		return nil
	}}, all
}

func start(ctx context.Context, r *PlayRequest, s *PlayStream) (*started, error) {
	p := &started{request: r, control: newTestControl(), ctx: ctx, end: make(chan error, 1)}
	replies, nc := s.Start(p.control)
	p.nc = nc
	_, err := nc.Write(replies)
	return p, err
}

// bothWays runs a test with playbacks that have a goroutine and with detached ones.
func bothWays(t *testing.T, test func(*testing.T, func() (*testHandler, <-chan *started))) {
	t.Run("in Play", func(t *testing.T) { test(t, playing) })
	t.Run("detached", func(t *testing.T) { test(t, detached) })
}

func TestPlay(t *testing.T) { bothWays(t, testPlay) }

func testPlay(t *testing.T, playing func() (*testHandler, <-chan *started)) {
	h, playbacks := playing()
	client, done := serve(t, h, ServerOptions{})
	p := connectedPeer(t, client)
	p.command(1, "play", 0, nil, "a/b?token=1", -1000, 5, false)
	playback := waitFor(t, "playback", playbacks)
	r := playback.request
	if r.Name != "a/b" || r.Query != "token=1" || r.Start != -1000 || r.Duration != 5 || r.Reset || r.StreamID != 1 || r.App != "live" {
		t.Errorf("request %+v", r)
	}
	p.expectStatus(1, "NetStream.Play.Start")
	media := Format{StreamID: 1}.AppendMessage(nil, TypeVideo, 7, make([]byte, 100_000))
	if _, err := playback.nc.Write(media); err != nil {
		t.Fatal(err)
	}
	if m := p.expectMessage(TypeVideo); m.TimestampMS != 7 || len(m.Body) != 100_000 {
		t.Errorf("message at %d of %d bytes", m.TimestampMS, len(m.Body))
	}
	if _, err := playback.nc.Write(EndOfStream(1)); err != nil {
		t.Fatal(err)
	}
	playback.end <- nil
	p.expectStatus(1, "NetStream.Play.UnpublishNotify")
	wantEqual(t, "StreamEOF", []byte{0, 1, 0, 0, 0, 1}, p.expectMessage(typeUserControl).Body)
	p.expectEnd()
	client.Close()
	if err := waitFor(t, "end", done); err != nil {
		t.Errorf("Serve: %v", err)
	}
}

// What a player gets before the first media: defect 51 says not before there is something to play.
func TestPlayReplies(t *testing.T) {
	for _, reset := range []bool{true, false} {
		want := []string{"event 0", "onStatus NetStream.Play.Reset", "onStatus NetStream.Play.Start",
			"onStatus NetStream.Data.Start", "onStatus NetStream.Play.PublishNotify"}
		if !reset {
			want = append(want[:1:1], want[2:]...)
		}
		wantEqual(t, fmt.Sprint("reset ", reset), want, commandsIn(t, appendPlaying(nil, &PlayRequest{ConnectRequest: new(ConnectRequest), StreamID: 1, Reset: reset})))
	}
	wantEqual(t, "end", []string{"onStatus NetStream.Play.UnpublishNotify", "event 1"}, commandsIn(t, EndOfStream(1)))
}

// After Start everything that the connection has to say goes through the control, and nothing else
// is written.
func TestPlayControl(t *testing.T) { bothWays(t, testPlayControl) }

func testPlayControl(t *testing.T, playing func() (*testHandler, <-chan *started)) {
	h, playbacks := playing()
	client, done := serve(t, h, ServerOptions{})
	p := connectedPeer(t, client)
	p.command(1, "play", 0, nil, "x")
	playback := waitFor(t, "playback", playbacks)
	for _, tc := range []struct {
		name string
		do   func()
		want []string
	}{
		{"ping", func() { p.send(4, 2, 0, []byte{0, 6, 0, 0, 0, 1}) }, []string{"event 7"}},
		{"call", func() { p.command(0, "createStream", 5, nil) }, []string{"_result"}},
		{"play on another stream", func() { p.command(2, "play", 0, nil, "y") }, []string{"onStatus NetStream.Play.Failed"}},
		{"play2 without parameters", func() { p.command(2, "play2", 0, nil) }, []string{"onStatus NetStream.Play.Failed"}},
		{"publish", func() { p.command(2, "publish", 0, nil, "y") }, []string{"onStatus NetStream.Publish.Denied"}},
		{"seek", func() { p.command(1, "seek", 0, nil, 1000) }, []string{"onStatus NetStream.Seek.Failed"}},
		{"acknowledgement", func() {
			p.send(5, 2, 0, be32(5000))
			for range 10 {
				p.send(4, 2, 0, make([]byte, 1000))
			}
		}, []string{"type 3"}},
	} {
		tc.do()
		waitFor(t, tc.name, playback.control.events)
		wantEqual(t, tc.name, tc.want, commandsIn(t, playback.control.take())[:len(tc.want)])
	}
	client.Close()
	<-done
}

func TestPlayPause(t *testing.T) { bothWays(t, testPlayPause) }

func testPlayPause(t *testing.T, playing func() (*testHandler, <-chan *started)) {
	h, playbacks := playing()
	client, done := serve(t, h, ServerOptions{})
	p := connectedPeer(t, client)
	p.command(1, "play", 0, nil, "x")
	playback := waitFor(t, "playback", playbacks)
	for _, paused := range []bool{true, false} {
		p.command(1, "pause", 0, nil, paused, 1000)
		for range 2 {
			waitFor(t, "pause", playback.control.events)
		}
		want := []string{"onStatus NetStream.Unpause.Notify", "event 0"}
		if paused {
			want = []string{"onStatus NetStream.Pause.Notify", "event 1"}
		}
		wantEqual(t, fmt.Sprint("pause ", paused), want, commandsIn(t, playback.control.take()))
	}
	wantEqual(t, "calls", []bool{true, false}, playback.control.paused)
	client.Close()
	<-done
}

// A player may pause while it waits for its stream.
func TestPauseBeforeStart(t *testing.T) {
	start := make(chan struct{})
	control := newTestControl()
	h := &testHandler{play: func(ctx context.Context, _ *PlayRequest, s *PlayStream) error {
		<-start
		s.Start(control)
		<-ctx.Done()
		return context.Cause(ctx)
	}}
	client, done := serve(t, h, ServerOptions{})
	p := connectedPeer(t, client)
	p.command(1, "play", 0, nil, "x")
	p.command(1, "pause", 0, nil, true, 0)
	p.expectStatus(1, "NetStream.Pause.Notify")
	close(start)
	waitFor(t, "pause", control.events)
	wantEqual(t, "calls", []bool{true}, control.paused)
	client.Close()
	<-done
}

func TestPlayStopped(t *testing.T) { bothWays(t, testPlayStopped) }

func testPlayStopped(t *testing.T, playing func() (*testHandler, <-chan *started)) {
	for name, stop := range map[string]func(p *peer){
		"closeStream":  func(p *peer) { p.command(1, "closeStream", 0, nil) },
		"deleteStream": func(p *peer) { p.command(0, "deleteStream", 0, nil, 1) },
		"play(false)":  func(p *peer) { p.command(1, "play", 0, nil, false) },
	} {
		t.Run(name, func(t *testing.T) {
			h, playbacks := playing()
			client, done := serve(t, h, ServerOptions{})
			p := connectedPeer(t, client)
			p.command(1, "play", 0, nil, "x")
			first := waitFor(t, "playback", playbacks)
			p.expectStatus(1, "NetStream.Play.Reset")
			p.expectStatus(1, "NetStream.Play.Start")
			p.expectStatus(1, "NetStream.Data.Start")
			p.expectStatus(1, "NetStream.Play.PublishNotify")
			stop(p)
			<-first.ctx.Done()
			if cause := context.Cause(first.ctx); cause != ErrStopped {
				t.Errorf("stopped by %v", cause)
			}
			// The connection writes for itself again, and plays again.
			p.command(0, "createStream", 5, nil)
			p.expectCommand("_result")
			p.command(2, "play", 0, nil, "y")
			second := waitFor(t, "second playback", playbacks)
			p.expectStatus(2, "NetStream.Play.Reset")
			client.Close()
			<-second.ctx.Done()
			if cause := context.Cause(second.ctx); !errors.Is(cause, io.EOF) {
				t.Errorf("ended by %v", cause)
			}
			if err := waitFor(t, "end", done); err != io.EOF {
				t.Errorf("Serve: %v", err)
			}
		})
	}
}

func TestPlayReplaced(t *testing.T) { bothWays(t, testPlayReplaced) }

func testPlayReplaced(t *testing.T, playing func() (*testHandler, <-chan *started)) {
	for name, values := range map[string][]any{
		"play":  {"play", 0, nil, "y"},
		"play2": {"play2", 0, nil, amf.Object{{Name: "streamName", Value: "y"}, {Name: "start", Value: -1.0}, {Name: "len", Value: 3.0}}},
	} {
		t.Run(name, func(t *testing.T) {
			h, playbacks := playing()
			client, done := serve(t, h, ServerOptions{})
			p := connectedPeer(t, client)
			p.command(1, "play", 0, nil, "x")
			first := waitFor(t, "playback", playbacks)
			p.command(1, values...)
			second := waitFor(t, "second playback", playbacks)
			if cause := context.Cause(first.ctx); cause != ErrReplaced {
				t.Errorf("replaced by %v", cause)
			}
			wantEqual(t, "name", "y", second.request.Name)
			client.Close()
			<-done
		})
	}
}

// A playback that cannot stop at a message boundary takes the connection with it.
func TestPlayReplacedInsideMessage(t *testing.T) {
	broken := errors.New("in the middle of a message")
	h := &testHandler{play: func(ctx context.Context, _ *PlayRequest, s *PlayStream) error {
		s.Start(newTestControl())
		<-ctx.Done()
		return broken
	}}
	client, done := serve(t, h, ServerOptions{})
	p := connectedPeer(t, client)
	p.command(1, "play", 0, nil, "x")
	p.command(1, "play", 0, nil, "y")
	p.expectEnd()
	client.Close()
	if err := waitFor(t, "end", done); !errors.Is(err, broken) {
		t.Errorf("Serve: %v", err)
	}
}

func TestPlayRefused(t *testing.T) {
	for _, tc := range []struct {
		err  error
		code string
	}{
		{&StatusError{Code: CodePlayNotFound, Description: "x"}, CodePlayNotFound},
		{errors.New("internal"), CodePlayFailed},
	} {
		h := &testHandler{play: func(context.Context, *PlayRequest, *PlayStream) error { return tc.err }}
		client, done := serve(t, h, ServerOptions{})
		p := connectedPeer(t, client)
		p.command(4, "play", 0, nil, "x")
		if level := p.expectStatus(4, tc.code); level != "error" {
			t.Errorf("level %q", level)
		}
		p.expectEnd()
		client.Close()
		if err := waitFor(t, "end", done); !errors.Is(err, tc.err) {
			t.Errorf("Serve: %v, want %v", err, tc.err)
		}
	}
}

// An error after Start is not told in the middle of what the playback wrote.
func TestPlayErrorAfterStart(t *testing.T) { bothWays(t, testPlayErrorAfterStart) }

func testPlayErrorAfterStart(t *testing.T, playing func() (*testHandler, <-chan *started)) {
	h, playbacks := playing()
	client, done := serve(t, h, ServerOptions{})
	p := connectedPeer(t, client)
	p.command(1, "play", 0, nil, "x", -2, -1, false)
	playback := waitFor(t, "playback", playbacks)
	p.expectStatus(1, "NetStream.Play.Start")
	p.expectStatus(1, "NetStream.Data.Start")
	p.expectStatus(1, "NetStream.Play.PublishNotify")
	slow := errors.New("player too slow")
	playback.end <- slow
	p.expectEnd()
	client.Close()
	if err := waitFor(t, "end", done); err != slow {
		t.Errorf("Serve: %v, want %v", err, slow)
	}
}

// TestPlayOnAHighMessageStream is refused: for each number the stream is encoded anew. Numbers that
// were given out are low, however many were asked for.
func TestPlayOnAHighMessageStream(t *testing.T) {
	client, done := serve(t, &testHandler{}, ServerOptions{})
	p := connectedPeer(t, client)
	p.command(maxMessageStreams+1, "play", 0, nil, "x")
	p.expectStatus(maxMessageStreams+1, CodePlayFailed)
	p.publish(2, "key")
	for i := range 3 * maxMessageStreams {
		p.command(0, "createStream", 5+i, nil)
		_, values := p.expectCommand("_result")
		if id := values[3].(float64); id < 1 || id > maxMessageStreams || id == 2 {
			t.Fatalf("message stream %v", id)
		}
	}
	client.Close()
	<-done
}

func TestPlayWhilePublishing(t *testing.T) {
	h := &testHandler{}
	client, done := serve(t, h, ServerOptions{})
	p := connectedPeer(t, client)
	p.publish(1, "key")
	p.command(2, "play", 0, nil, "x")
	p.expectStatus(2, CodePlayFailed)
	p.send(TypeAudio, 4, 1, []byte{1}) // goes on
	waitFor(t, "message", h.publication(0).messages)
	client.Close()
	<-done
}

func TestPostErrorEndsConnection(t *testing.T) { bothWays(t, testPostErrorEndsConnection) }

func testPostErrorEndsConnection(t *testing.T, playing func() (*testHandler, <-chan *started)) {
	h, playbacks := playing()
	client, done := serve(t, h, ServerOptions{})
	p := connectedPeer(t, client)
	p.command(1, "play", 0, nil, "x")
	playback := waitFor(t, "playback", playbacks)
	full := errors.New("control queue full")
	playback.control.mu.Lock()
	playback.control.err = full
	playback.control.mu.Unlock()
	p.command(0, "createStream", 2, nil)
	if err := waitFor(t, "end", done); !errors.Is(err, full) {
		t.Errorf("Serve: %v, want %v", err, full)
	}
}

// The end of the server reaches a playback, which may still write.
func TestContextEndsPlay(t *testing.T) {
	h := &testHandler{play: func(ctx context.Context, r *PlayRequest, s *PlayStream) error {
		replies, nc := s.Start(newTestControl())
		if _, err := nc.Write(replies); err != nil {
			return err
		}
		<-ctx.Done()
		_, err := nc.Write(EndOfStream(r.StreamID))
		return err
	}}
	ctx, cancel := context.WithCancelCause(t.Context())
	client, done := serveContext(t, ctx, h, ServerOptions{})
	p := connectedPeer(t, client)
	p.command(1, "play", 0, nil, "x", -2, -1, false)
	p.expectStatus(1, "NetStream.Play.Start")
	p.expectStatus(1, "NetStream.Data.Start")
	p.expectStatus(1, "NetStream.Play.PublishNotify")
	down := errors.New("going down")
	cancel(down)
	p.expectStatus(1, "NetStream.Play.UnpublishNotify")
	p.expectEnd()
	client.Close()
	if err := waitFor(t, "end", done); err != down {
		t.Errorf("Serve: %v, want %v", err, down)
	}
}

// A playback blocked in a write does not outlive its client.
func TestClientGoneFreesBlockedWrite(t *testing.T) {
	result := make(chan error, 1)
	h := &testHandler{play: func(ctx context.Context, _ *PlayRequest, s *PlayStream) error {
		_, nc := s.Start(newTestControl())
		for {
			if _, err := nc.Write(make([]byte, 1<<20)); err != nil {
				result <- err
				return err
			}
		}
	}}
	client, server := net.Pipe()
	done := make(chan error, 1)
	go func() { done <- Serve(t.Context(), &halfClosed{Conn: server}, ServerOptions{}, h) }()
	p := connectedPeer(t, client)
	p.command(1, "play", 0, nil, "x")
	if err := waitFor(t, "write error", result); err == nil {
		t.Error("no error")
	}
	client.Close()
	<-done
}

// halfClosed ends its input after play: the reader sees the end while the writer is stuck.
type halfClosed struct {
	net.Conn
	ended bool
}

func (c *halfClosed) Read(p []byte) (int, error) {
	if c.ended {
		return 0, io.EOF
	}
	n, err := c.Conn.Read(p)
	c.ended = bytes.Contains(p[:n], []byte("play"))
	return n, err
}

// A player may be silent for ever; one that waits for its stream too.
func TestSilentPlayer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &testHandler{play: func(ctx context.Context, _ *PlayRequest, s *PlayStream) error {
			select {
			case <-time.After(time.Hour):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			_, nc := s.Start(newTestControl())
			select {
			case <-time.After(time.Hour):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			// The write timeout of the connection's own writes is not that of the playback.
			_, err := nc.Write(EndOfStream(1))
			return err
		}}
		p, done := pipe(t, h, ServerOptions{})
		start := time.Now()
		p.command(1, "play", 0, nil, "x")
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		wantEqual(t, "time", 2*time.Hour, time.Since(start))
	})
}
