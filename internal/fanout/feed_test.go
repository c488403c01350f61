package fanout

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"livego/internal/live"
	"livego/internal/media"
)

// TestEverythingIsPublishedBeforeTheEnd: a player in a goroutine of its own that sees the end of
// the stream must see its last units too.
func TestEverythingIsPublishedBeforeTheEnd(t *testing.T) {
	src := newSource(t, live.Options{})
	f := newFanout(Options{GOPs: 1})
	fd := newFeed(f, feedKey{pub: src.stream, format: plainFormat{}}, &budget{memory: int64(f.opt.Memory)})
	defer fd.reader.Close()
	src.headers()
	src.steps(5)
	src.pub.Unpublish()
	f.mu.Lock() // holds the feed at its end
	collected := make(chan struct{})
	go func() {
		defer close(collected)
		fd.collect()
	}()
	eventually(t, "the feed ends", func() bool { return fd.ended.Load() != nil })
	if fd.log.tail.Load() == 0 {
		t.Error("the end is visible, the last units are not")
	}
	f.mu.Unlock()
	<-collected
}

// TestFeedBeyondTheLimitOfItsTimeWithCachedGOPs: a feed that begins with GOPs of before the limit's
// margin lasts all the same.
func TestFeedBeyondTheLimitOfItsTimeWithCachedGOPs(t *testing.T) {
	const limit = time.Hour
	src := newSource(t, live.Options{GOPs: 3})
	f := newFanout(Options{GOPs: 3})
	src.headers()
	src.at = limit - limitMargin - 400*time.Millisecond // a key frame, the last one before the margin
	src.steps(21)
	server, client := pair(t)
	go func() { _, _ = io.Copy(io.Discard, client) }()
	p := play(f, src.stream, PlayerOptions{Conn: server, Format: plainFormat{}, TimeLimit: limit})
	eventually(t, "the player gets everything", func() bool { return p.Stats().Audio == 2100 || p.Err() != nil })
	src.steps(30)
	eventually(t, "the player gets more", func() bool { return p.Stats().Audio == 5100 || p.Err() != nil })
	if err := p.Err(); err != nil {
		t.Error("the new feed ended: ", err)
	}
	src.pub.Unpublish()
	<-p.Done()
	server.Close()
	f.Wait()
}

// TestPrefixHoldsAMessageOnce: the headers of several tracks may have come in one message.
func TestPrefixHoldsAMessageOnce(t *testing.T) {
	src := newSource(t, live.Options{})
	f := newFanout(Options{GOPs: 1})
	second := &media.Track{Kind: media.Video, ID: 1, Codec: media.H264}
	body := []byte("Hboth")
	src.write(
		media.AccessUnit{Track: src.video, Header: media.SequenceHeader, MessageType: 9, Body: body},
		media.AccessUnit{Track: second, Header: media.SequenceHeader, MessageType: 9, Body: body, Shared: true},
		media.AccessUnit{Track: src.audio, Header: media.SequenceHeader, MessageType: 8, Body: []byte("Haudio")})
	src.steps(1)
	server, client := pair(t)
	p := play(f, src.stream, PlayerOptions{Conn: server, Format: plainFormat{}})
	var got []string
	for len(got) < 3 {
		m, err := readMessage(client)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(m.body[:2]))
	}
	if want := []string{"Hb", "Ha", "K\x00"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	p.Close(ErrGone)
	f.Wait()
}

// TestFeedBeginsWithALongGOP: the key frame that a joiner begins with stays in the log, however
// much came at once behind it.
func TestFeedBeginsWithALongGOP(t *testing.T) {
	src := newSource(t, live.Options{})
	f := newFanout(Options{GOPs: 1, PlayerLag: 100 * time.Millisecond})
	src.arrived, src.size = 1e9, 20_000
	src.headers()
	src.steps(1)
	src.endless = true
	src.steps(200) // 8 s
	server, client := pair(t)
	p := play(f, src.stream, PlayerOptions{Conn: server, Format: plainFormat{}})
	watched := watching(t, client)
	eventually(t, "the player gets the GOP", func() bool { return p.Stats().Audio == 20100 })
	src.steps(10)
	src.pub.Unpublish()
	_ = wait(t, p)
	server.Close()
	if c := <-watched; c.messages != 422 || c.gaps != 0 {
		t.Errorf("%d messages, %d gaps", c.messages, c.gaps)
	}
	f.Wait()
}

// TestTrailerWithoutAnythingElse: a player that has found no place to begin until the stream ends,
// or is paused, gets the trailer.
func TestTrailerWithoutAnythingElse(t *testing.T) {
	for name, prepare := range map[string]func(*Player){
		"waiting": func(*Player) {},
		"paused":  func(p *Player) { p.Pause(true) },
	} {
		t.Run(name, func(t *testing.T) {
			src := newSource(t, live.Options{})
			f := newFanout(Options{}) // no GOPs: the player waits for the next one
			src.headers()
			src.steps(2)
			server, client := pair(t)
			p := joining(f, src.stream, PlayerOptions{Conn: server, Format: plainFormat{}, Trailer: []byte("bye")})
			prepare(p)
			p.Start([]byte("hello"))
			eventually(t, "the player begins", func() bool { return p.Stats().Sent == 5 })
			src.pub.Unpublish()
			if err := wait(t, p); !errors.Is(err, ErrStreamEnded) {
				t.Error(err)
			}
			server.Close()
			if got, err := io.ReadAll(client); err != nil || string(got) != "hellobye" {
				t.Errorf("got %q, %v", got, err)
			}
			f.Wait()
		})
	}
}

// TestPassIsInOneBlock: what a pass adds to the log lies in one block, so that each player gets it
// with one write.
func TestPassIsInOneBlock(t *testing.T) {
	l := newFeedLog()
	track := &media.Track{Kind: media.Video}
	now, split := int64(0), 0
	for pass := range 200 {
		before := l.last
		for range 3 {
			now += int64(33 * time.Millisecond)
			l.append(plainFormat{}, &media.AccessUnit{Track: track, MessageType: 9, Body: make([]byte, 10_000+pass), Arrived: now, DTS: time.Duration(now)}, 0, nil)
			if before != nil && before != l.last && !before.sealed.Load() {
				t.Fatal("a block that is left is not sealed")
			}
		}
		if l.last.messages < 3 && pass > 20 {
			split++
		}
		l.publish(retention{most: int64(2 * time.Second), mostBytes: 1 << 30, allowance: 1 << 30})
	}
	if split > 0 {
		t.Errorf("%d passes lie in two blocks", split)
	}
}

// TestBlocksAfterABurst: blocks are as long as the stream's rate asks, also when much of it came at
// once, so that little memory is in what is not filled.
func TestBlocksAfterABurst(t *testing.T) {
	l := newFeedLog()
	track := &media.Track{Kind: media.Video}
	for i := range 1000 {
		at := time.Duration(i) * 40 * time.Millisecond
		arrived := max(at, 20*time.Second+time.Duration(i)*time.Millisecond)
		l.append(plainFormat{}, &media.AccessUnit{Track: track, MessageType: 9, Body: make([]byte, 2500), Arrived: int64(arrived), DTS: at}, 0, nil)
		if size, half := len(l.last.buf), 13*2500; i > 50 && (size < half/2 || size > 2*half) {
			t.Fatalf("message %d: a block of %d bytes, half a second has %d", i, size, half)
		}
		l.publish(retention{most: int64(2 * time.Second), mostBytes: 1 << 30, allowance: 1 << 30})
	}
}

// TestRingFollowsToTheNextBlock: a player that has read a sealed block to its end goes on in the
// next one without the detour over push.
func TestRingFollowsToTheNextBlock(t *testing.T) {
	l := newFeedLog()
	add := func(size int) {
		l.append(plainFormat{}, &media.AccessUnit{Track: &media.Track{Kind: media.Video}, MessageType: 9, Body: make([]byte, size), Arrived: 1}, 0, nil)
		l.publish(retention{most: 1, mostBytes: 1 << 30, allowance: 1 << 30})
	}
	add(minBlock - 100)
	p := &Player{feed: &feed{log: l}, block: l.last, descriptor: 7}
	p.pos = l.last.used
	p.owner.Store(ownerShard)
	first := p.block
	add(500)
	if d, b := p.ordinary(); d != 7 || len(b) != 513 || p.block == first {
		t.Errorf("descriptor %d, %d bytes", d, len(b))
	}
}

// TestPlayerOfFixedCodecs ends where a track goes on with another codec, with all that came before.
// Who comes then begins behind that, also where the cached GOP is of before; others play on.
func TestPlayerOfFixedCodecs(t *testing.T) {
	src := newSource(t, live.Options{})
	f := New(Options{GOPs: 1})
	src.video.Parsed, src.audio.Parsed = true, true
	fixed := func() (*Player, <-chan checker) {
		server, client := pair(t)
		return play(f, src.stream, PlayerOptions{Conn: server, Format: plainFormat{}, FixedCodecs: true}), watching(t, client)
	}
	src.headers()
	src.steps(10)
	server, client := pair(t)
	other, all := play(f, src.stream, PlayerOptions{Conn: server, Format: plainFormat{}}), watching(t, client)
	p, watched := fixed()
	eventually(t, "the players get everything", func() bool { return p.Stats().Audio == 1000 && other.Stats().Audio == 1000 })

	src.steps(3) // in mid-GOP
	unreadable := &media.Track{Kind: media.Audio, Codec: media.MP3}
	src.write(media.AccessUnit{Track: unreadable, Header: media.SequenceHeader, MessageType: 8, Body: []byte("Hnoise")})
	src.audio = &media.Track{Kind: media.Audio, Codec: media.Opus, Parsed: true}
	src.headers()
	if err := wait(t, p); !errors.Is(err, ErrCodecChanged) {
		t.Fatal(err)
	}
	if p.Stats().Audio < 1300 {
		t.Errorf("%d bytes of sound came before the end", p.Stats().Audio)
	}
	_ = p.opt.Conn.Close()
	<-watched

	again, watched := fixed()
	src.steps(17) // up to the end of the next GOP
	eventually(t, "the player that began anew gets that GOP only", func() bool { return again.Stats().Audio == 1000 || again.Err() != nil })
	eventually(t, "the other one gets everything", func() bool { return other.Stats().Audio >= 3000 })
	src.pub.Unpublish()
	if err := wait(t, again); !errors.Is(err, ErrStreamEnded) {
		t.Error(err)
	}
	_ = wait(t, other)
	_ = again.opt.Conn.Close()
	server.Close()
	if c := <-watched; c.gaps != 0 || c.messages != 20 {
		t.Errorf("%d messages, %d gaps", c.messages, c.gaps)
	}
	<-all
	f.Wait()
}

// TestLogAndRingShare: what a feed has in its log the ring holds there, and nothing of it twice.
func TestLogAndRingShare(t *testing.T) {
	src := newSource(t, live.Options{GOPs: 1})
	f := New(Options{GOPs: 1})
	fd := newFeed(f, feedKey{pub: src.stream, format: plainFormat{}}, &budget{memory: int64(f.opt.Memory)})
	defer fd.reader.Close()
	src.headers()
	src.steps(5)
	units := func() (all []media.AccessUnit) {
		r := src.stream.NewReader(live.ReaderOptions{GOPs: 1})
		defer r.Close()
		buf := make([]media.AccessUnit, 64)
		n, _ := r.Poll(buf)
		for _, u := range buf[:n] {
			if u.Header == media.Sample {
				all = append(all, u)
			}
		}
		return all
	}
	before := units()
	fd.collect()
	log := fd.log.last.buf
	for i, u := range units() {
		if !bytes.Equal(u.Body, before[i].Body) || !bytes.Equal(u.Data, before[i].Data) {
			t.Fatalf("unit %d is another one", i)
		}
		at := bytes.Index(log, u.Body) // bodies are numbered
		if &log[at] != &u.Body[0] || &u.Data[0] != &u.Body[0] {
			t.Errorf("unit %d is held beside the log", i)
		}
	}
	if len(before) != 10 {
		t.Errorf("%d units", len(before))
	}
}

// TestBodyIn finds bodies in messages of RTMP and FLV.
func TestBodyIn(t *testing.T) {
	for framed, there := range map[string]bool{
		"head body": true, "head bodytail": true, "body": true, "": false, "body in two": false, "head bo dy": false, "a body and more": false,
	} {
		if got := string(bodyIn([]byte(framed), []byte("body"))); (got == "body") != there {
			t.Errorf("%q in %q", got, framed)
		}
	}
}

// TestPlayerUntilMoved ends where the stream moves to another node, with all that came before, and
// nothing of what comes from there, however soon that is. Others play on.
func TestPlayerUntilMoved(t *testing.T) {
	src := newSource(t, live.Options{})
	f := New(Options{GOPs: 1})
	src.headers()
	src.steps(10)
	server, client := pair(t)
	other, all := play(f, src.stream, PlayerOptions{Conn: server, Format: plainFormat{}}), watching(t, client)
	until, untilClient := pair(t)
	p, watched := play(f, src.stream, PlayerOptions{Conn: until, Format: plainFormat{}, UntilMoved: true}), watching(t, untilClient)
	eventually(t, "the players get everything", func() bool { return p.Stats().Audio == 1000 && other.Stats().Audio == 1000 })

	src.steps(5)
	src.pub.Move()
	var err error
	if src.pub, err = src.hub.Copy(src.stream.Name(), func(error) {}); err != nil {
		t.Fatal(err)
	}
	src.at += 200 * time.Millisecond // a key frame is next
	src.headers()
	src.steps(10)
	if err := wait(t, p); !errors.Is(err, live.ErrMoved) {
		t.Error(err)
	}
	until.Close()
	if c := <-watched; c.messages != 30 || c.gaps != 0 {
		t.Errorf("%d messages, %d gaps", c.messages, c.gaps)
	}
	eventually(t, "the other one gets everything", func() bool { return other.Stats().Audio >= 2500 })
	src.pub.Unpublish()
	_ = wait(t, other)
	server.Close()
	<-all
	f.Wait()
}

// TestPlayerFromBegin: a player that has all before a session gets all of that, as far as it is
// kept, however many GOPs others get.
func TestPlayerFromBegin(t *testing.T) {
	for _, gops := range []int{0, 1} {
		src := newSource(t, live.Options{})
		src.stream.Keep(time.Hour)
		f := newFanout(Options{GOPs: gops})
		src.headers()
		src.steps(35)
		server, client := pair(t)
		p := play(f, src.stream, PlayerOptions{Conn: server, Format: plainFormat{}, FromBegin: true})
		watched := watching(t, client)
		src.steps(5)
		src.pub.Unpublish()
		if err := wait(t, p); !errors.Is(err, ErrStreamEnded) {
			t.Error(err)
		}
		server.Close()
		if c := <-watched; c.messages != 80 || c.gaps != 0 {
			t.Errorf("%d GOPs: %d messages, %d gaps; want all 80", gops, c.messages, c.gaps)
		}
		f.Wait()
	}
}
