package fanout

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"livego/internal/live"
	"livego/internal/media"
)

// TestPlayerToldOfFewerTracksGetsItsTrailer: it ends between two messages, as at the end of a
// stream.
func TestPlayerToldOfFewerTracksGetsItsTrailer(t *testing.T) {
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			src := newSource(t, live.Options{})
			f := newFanout(Options{GOPs: 1})
			trailer := plainFormat{}.AppendMessage(nil, control, 0, []byte("bye"))
			server, client := tr.pair(t)
			video := media.AccessUnit{Track: src.video, RandomAccess: true, MessageType: 9, Body: src.body('K', 100)}
			src.write(video)
			p := play(f, src.stream, PlayerOptions{
				Conn: server, Format: plainFormat{}, Kinds: []media.Kind{media.Video}, Trailer: trailer,
			})
			eventually(t, "the player joins", func() bool { return p.Stats().Video == 100 })
			src.steps(5)
			if err := wait(t, p); !errors.Is(err, ErrTracksChanged) {
				t.Error(err)
			}
			server.Close()
			var last message
			for {
				m, err := readMessage(client)
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				last = m
			}
			if last.typ != control {
				t.Errorf("the last message has type %d", last.typ)
			}
			f.Wait()
		})
	}
}

// TestSlowTLSPlayerWithProgress: only a player that takes nothing is stalled, however long one
// message takes.
func TestSlowTLSPlayerWithProgress(t *testing.T) {
	src := newSource(t, live.Options{})
	src.size = 1_500_000
	f := newFanout(Options{GOPs: 1, WriteTimeout: 1500 * time.Millisecond})
	server, client := tlsPair(t)
	for _, c := range []net.Conn{server, client} {
		c.(interface{ NetConn() net.Conn }).NetConn().(*net.TCPConn).SetReadBuffer(64 << 10)
		c.(interface{ NetConn() net.Conn }).NetConn().(*net.TCPConn).SetWriteBuffer(64 << 10)
	}
	src.headers()
	src.step()
	p := play(f, src.stream, PlayerOptions{Conn: server, Format: plainFormat{}})
	if err := client.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	go func() { <-p.Done(); server.Close() }()
	// 1.5 MB in 3 s: twice the timeout, and never a pause that long, on a busy machine too.
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for got := 0; got < 1_500_000; got += 25_000 {
		<-tick.C
		if _, err := io.CopyN(io.Discard, client, 25_000); err != nil {
			t.Fatalf("after %d bytes: %v, %v", got, err, p.Err())
		}
	}
	p.Close(ErrGone)
	f.Wait()
}

// closing is a socket whose player is closed between the look at its flags and the write.
type closing struct {
	p     *Player
	cause error
}

func (c closing) try([]byte) (int, error) {
	c.p.Close(c.cause)
	return 0, os.ErrDeadlineExceeded // from the deadline that Close has set
}

func (c closing) wait(b []byte) (int, error) { return c.try(b) }
func (c closing) release()                   {}
func (c closing) descriptor() int            { return -1 }

func TestCauseOfACloseThatMeetsAWrite(t *testing.T) {
	src := newSource(t, live.Options{})
	f := newFanout(Options{GOPs: 1})
	src.headers()
	src.steps(1)
	server, _ := pair(t)
	cause := errors.New("cause")
	p := joining(f, src.stream, PlayerOptions{Conn: server, Format: plainFormat{}})
	p.sock, p.descriptor = closing{p, cause}, -1
	p.Start(nil)
	if err := wait(t, p); err != cause {
		t.Errorf("ended with %v", err)
	}
	f.Wait()
}

// TestOnEndComesBeforeDone: whoever has seen Done may use the connection, and OnEnd touches it no
// more.
func TestOnEndComesBeforeDone(t *testing.T) {
	src := newSource(t, live.Options{})
	f := newFanout(Options{GOPs: 1})
	server, _ := pair(t)
	var p *Player
	early := make(chan bool, 1)
	p = joining(f, src.stream, PlayerOptions{Conn: server, Format: plainFormat{}, OnEnd: func(error) {
		select {
		case <-p.Done():
			early <- false
		default:
			early <- p.Err() != nil
		}
	}})
	p.Start(nil)
	p.Close(ErrGone)
	if !<-early {
		t.Error("Done was closed first")
	}
	_ = wait(t, p)
	f.Wait()
}

// TestNothingFollowsTheTrailer: the peer may answer it before the player is over, and the session
// that answer.
func TestNothingFollowsTheTrailer(t *testing.T) {
	src := newSource(t, live.Options{})
	f := newFanout(Options{GOPs: 1})
	server, client := pair(t)
	p := joining(f, src.stream, PlayerOptions{Conn: server, Format: plainFormat{}, Trailer: []byte("bye")})
	p.End(ErrTracksChanged)
	if err := p.Post([]byte("answer")); err != nil {
		t.Error(err)
	}
	p.Start(nil)
	_ = wait(t, p)
	server.Close()
	if got, err := io.ReadAll(client); err != nil || string(got) != "bye" {
		t.Errorf("got %q, %v", got, err)
	}
	f.Wait()
}

// late is a socket whose deadline passed while nobody ran, and that takes some bytes now.
type late struct {
	room  int
	tried int
}

func (l *late) wait([]byte) (int, error) { return 0, os.ErrDeadlineExceeded }
func (l *late) try(b []byte) (int, error) {
	l.tried++
	return min(len(b), l.room), nil
}
func (l *late) descriptor() int { return -1 }
func (l *late) release()        {}

// TestDeadlineThatPassedInAStandstill: what the peer has room for decides whether it stalled.
func TestDeadlineThatPassedInAStandstill(t *testing.T) {
	for room, want := range map[int]error{0: ErrStalled, 3: nil} {
		src := newSource(t, live.Options{})
		f := newFanout(Options{GOPs: 1})
		server, _ := pair(t)
		p := joining(f, src.stream, PlayerOptions{Conn: server, Format: plainFormat{}})
		real, sock := p.sock, &late{room: room}
		p.sock, p.pending = sock, []byte("bytes")
		if err := p.write(p.pending, sock.wait); !errors.Is(err, want) || sock.tried != 1 || p.Stats().Sent != uint64(room) {
			t.Errorf("with room for %d bytes: %v, %d tries, %d bytes", room, err, sock.tried, p.Stats().Sent)
		}
		p.sock = real
		p.Close(io.EOF)
		p.Start(nil)
		_ = wait(t, p)
		f.Wait()
	}
}
