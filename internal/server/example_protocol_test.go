package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"livego/internal/fanout"
	"livego/internal/listen"
)

// lineFormat is a wire format: a message is a line with its type, its time and its size.
type lineFormat struct{}

func (lineFormat) Overhead(int) int { return len("255 4294967295 4294967295\n") }

func (lineFormat) AppendMessage(dst []byte, messageType uint8, ms uint32, body []byte) []byte {
	return fmt.Appendf(dst, "%d %d %d\n", messageType, ms, len(body))
}

// serveLines is a protocol for viewers: a client says "APP/STREAM TOKEN", and gets lines. It is all
// that a protocol has to have: who may watch, how a stream is found, brought or waited for, how it
// is delivered, and who is listed, is there.
func (s *Server) serveLines(l *listener) error {
	for {
		nc, err := l.Accept()
		if err != nil {
			return err
		}
		s.conns.Go(func() {
			defer nc.Close()
			if err := s.playLines(nc); err != nil {
				_, _ = fmt.Fprintf(nc, "refused: %v\n", err)
			}
		})
	}
}

// playLines serves one client.
func (s *Server) playLines(nc net.Conn) error {
	_ = nc.SetDeadline(time.Now().Add(s.opt.RTMP.ReadTimeout))
	line, err := bufio.NewReader(io.LimitReader(nc, 1<<10)).ReadString('\n')
	if err != nil {
		return err
	}
	path, token, _ := strings.Cut(strings.TrimSpace(line), " ")
	name := nameOf(path)
	from := caller{protocol: "lines", addr: netip.MustParseAddrPort(nc.RemoteAddr().String()).Addr()}
	may, err := s.now().access.play(s.ctx, from, name, token)
	if err != nil {
		return err
	}
	pub, err := s.find(s.ctx, name, nil, s.opt.PlayWait)
	if err != nil {
		return err
	}
	_ = nc.SetDeadline(time.Time{})
	player, err := s.fanout.Play(pub, fanout.PlayerOptions{Conn: nc, Format: lineFormat{}, OnEnd: func(error) { _ = nc.SetReadDeadline(time.Unix(1, 0)) }})
	if err != nil {
		return err
	}
	end := s.beginPlayer(newSession("lines", nc.RemoteAddr().String(), name, path, false), may, pub, player, func() *slog.Logger { return s.log })
	defer context.AfterFunc(s.ctx, func() { player.Close(errShutdown) })()
	player.Start(nil)
	_, err = io.Copy(io.Discard, nc) // until the client is gone, or OnEnd
	player.Close(fmt.Errorf("%w: %w", fanout.ErrGone, orEOF(err)))
	<-player.Done()
	end(player.Err())
	return nil
}

// TestProtocolOfItsOwn adds a protocol by one line in the list of listeners.
func TestProtocolOfItsOwn(t *testing.T) {
	s := open(t)
	lines := &listener{listen.Listener{Name: "lines", At: "127.0.0.1:0", Log: s.log, Limits: s.limits}, s.serveLines}
	if err := lines.Open(); err != nil {
		t.Fatal(err)
	}
	s.listeners = append(s.listeners, lines)
	s.run()

	watch := func(request string) *bufio.Scanner {
		nc, err := net.Dial("tcp", s.addr("lines"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		_, _ = fmt.Fprintln(nc, request)
		return bufio.NewScanner(nc)
	}
	if nobody := watch("elsewhere/room"); !nobody.Scan() || !strings.HasPrefix(nobody.Text(), "refused: ") {
		t.Errorf("an app that is not there: %q", nobody.Text())
	}
	viewer := watch("live/room")
	e, tags := publish(t, s, "room"), clip(t)
	e.send(tags[:3]...)
	awaitPlayers(t, s, "room", 1)
	e.send(tags[3])                 // players that join a burst begin with its newest key frame
	for at, tag := range tags[1:] { // metadata comes as the server tells it
		want := fmt.Sprintf("%d %d %d", tag.Type, tag.TimestampMS, len(tag.Body))
		if at == 3 {
			e.send(tags[4:]...)
			e.unpublish()
		}
		for viewer.Scan() && strings.HasPrefix(viewer.Text(), "18 ") {
		}
		if viewer.Text() != want {
			t.Fatalf("message %d: %q, want %q (%v)", at, viewer.Text(), want, viewer.Err())
		}
	}
	if viewer.Scan() {
		t.Errorf("more than was published: %q", viewer.Text())
	}
	awaitPlayers(t, s, "room", 0)
}
