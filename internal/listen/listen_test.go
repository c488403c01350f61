package listen

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// scarce is a listener that fails in ways that pass, and then for good.
type scarce struct {
	net.Listener
	fail []error
}

func (l *scarce) Accept() (net.Conn, error) {
	err := l.fail[0]
	l.fail = l.fail[1:]
	if err != nil {
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", err)}
	}
	server, client := net.Pipe()
	client.Close()
	return addressed{server}, nil
}

// addressed has an address, which a pipe has not.
type addressed struct{ net.Conn }

func (addressed) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// Defect 8: running out of descriptors is waited out, with growing pauses and one line in the log.
func TestAcceptGoesOnWithoutDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		fail := []error{syscall.ECONNABORTED}
		for range 12 {
			fail = append(fail, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS)
		}
		l := &Listener{Name: "rtmp", Log: slog.New(slog.NewTextHandler(&log, nil)), Limits: &Limits{}}
		l.Listener = &scarce{fail: append(fail, nil, syscall.EMFILE, nil, syscall.EINVAL)}
		begin := time.Now()
		nc, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		nc.Close()
		// 5, 10, … 640 ms, and then a second each.
		if took, want := time.Since(begin), 1275*time.Millisecond+28*time.Second; took != want {
			t.Errorf("took %v, want %v", took, want)
		}
		if n := strings.Count(log.String(), "cannot accept connections"); n != 3 {
			t.Errorf("%d lines in half a minute: %s", n, &log)
		}
		begin = time.Now()
		if nc, err = l.Accept(); err != nil {
			t.Fatal(err)
		}
		nc.Close()
		if took := time.Since(begin); took != minAcceptDelay {
			t.Errorf("pause after a success: %v", took)
		}
		if _, err = l.Accept(); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("final error: %v", err)
		}
	})
}
