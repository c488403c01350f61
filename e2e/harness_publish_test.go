package e2e

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"time"
)

// publication is a running publish of tags in real time by the tests' own client.
type publication struct {
	probe   *probe
	sent    atomic.Int64 // tags written so far
	began   time.Time    // when the tag of time 0 was due
	ended   chan struct{}
	err     error // why it ended, nil when all was sent
	cancel  context.CancelFunc
	replies chan error // the end of the connection as the reader saw it
}

// pacing says how publish sends.
type pacing struct {
	// loop repeats the tags, with rising times, until the publication is ended.
	loop bool
	// speed is a multiple of real time, 1 when 0.
	speed float64
	// from is added to all times.
	from uint32
	// stamp, if not nil, returns the time stamp to be sent instead of the tag's time, which it
	// comes at. n counts the tags of its kind that are no headers.
	stamp func(kind byte, n int, time uint32) uint32
	// send, if not nil, sends each message, in whatever chunks.
	send func(p *probe, m message) error
	// app is the application, live when empty.
	app string
	// then is what takes the place of the tags that are repeated, when they are over.
	then <-chan []tag
	// begin is when the tag of time 0 is due, at once when zero.
	begin time.Time
}

// publish connects, publishes to the key and sends the tags in real time, in the background.
func publish(t testing.TB, s *server, key string, tags []tag, how pacing) *publication {
	t.Helper()
	p := dial(t, s.rtmp)
	app := how.app
	if app == "" {
		app = "live"
	}
	p.connect(t, app)
	if err := p.publish(key); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	pub := &publication{probe: p, began: how.begin, ended: make(chan struct{}), cancel: cancel, replies: make(chan error, 1)}
	if how.begin.IsZero() {
		pub.began = time.Now()
	}
	go func() {
		for {
			if _, err := p.receive(); err != nil {
				pub.replies <- err
				return
			}
		}
	}()
	go func() {
		defer close(pub.ended)
		pub.err = pub.send(ctx, tags, how)
	}()
	t.Cleanup(pub.lose)
	return pub
}

// publishAtOnce publishes tags as fast as the server takes them, and waits until they are on air.
func publishAtOnce(t testing.TB, s *server, room string, tags []tag) *probe {
	t.Helper()
	p := dial(t, s.rtmp)
	p.connect(t, "live")
	if err := p.publish(s.key(t, room)); err != nil {
		t.Fatal(err)
	}
	for _, tag := range tags {
		if err := p.media(tag.kind, tag.time, tag.body); err != nil {
			t.Fatal(err)
		}
	}
	s.waitOnAir(t, room)
	return p
}

func (pub *publication) send(ctx context.Context, tags []tag, how pacing) error {
	if how.speed == 0 {
		how.speed = 1
	}
	base := how.from
	sent := map[byte]int{}
	for {
		last := uint32(0)
		for _, tag := range tags {
			due := time.Duration(float64(base-how.from+tag.time) / how.speed * float64(time.Millisecond))
			select {
			case <-time.After(time.Until(pub.began.Add(due))):
			case <-ctx.Done():
				return ctx.Err()
			}
			stamp := base + tag.time
			if how.stamp != nil && !tag.isHeader() && tag.kind != typeData {
				stamp = how.stamp(tag.kind, sent[tag.kind], stamp)
				sent[tag.kind]++
			}
			if how.send != nil {
				err := how.send(pub.probe, message{kind: tag.kind, stream: 1, time: stamp, body: tag.body})
				if err != nil {
					return err
				}
			} else if err := pub.probe.media(tag.kind, stamp, tag.body); err != nil {
				return err
			}
			pub.sent.Add(1)
			last = max(last, tag.time)
		}
		if !how.loop {
			return nil
		}
		base += last + 20
		select {
		case tags = <-how.then:
		default:
		}
	}
}

// position returns the time of the tag that was sent last of those that publish loops.
func (pub *publication) position(tags []tag) uint32 {
	sent := int(pub.sent.Load()) - 1
	last := uint32(0)
	for _, tag := range tags {
		last = max(last, tag.time)
	}
	return uint32(sent/len(tags))*(last+20) + tags[sent%len(tags)].time
}

// finish waits until all is sent, and ends the stream as an encoder does.
func (pub *publication) finish(t testing.TB) {
	t.Helper()
	<-pub.ended
	if pub.err != nil && !errors.Is(pub.err, context.Canceled) {
		t.Errorf("publishing: %v", pub.err)
	}
	_ = pub.probe.command(0, "FCUnpublish", 6, nil, "")
	_ = pub.probe.command(0, "deleteStream", 7, nil, 1)
	pub.probe.Close()
}

// lose breaks the connection without a word.
func (pub *publication) lose() {
	pub.cancel()
	<-pub.ended
	pub.probe.Close()
}

// closedByServer waits until the server closes the connection.
func (pub *publication) closedByServer(t testing.TB, limit time.Duration) {
	t.Helper()
	select {
	case err := <-pub.replies:
		if !errors.Is(err, io.EOF) {
			t.Logf("the publisher's connection ended: %v", err)
		}
	case <-time.After(limit):
		t.Errorf("the server did not close the publisher within %v", limit)
	}
}

// ffmpegPublish publishes a file in real time with FFmpeg, without changing its coded data.
func ffmpegPublish(t testing.TB, s *server, file, key string) *program {
	t.Helper()
	return launch(t, "ffmpeg", "-v", "error", "-re", "-i", file, "-c", "copy", "-f", "flv", s.publishURL(key))
}
