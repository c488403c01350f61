// Command tls is the floor for viewers over TLS: one loop that writes each picture once to each
// player with crypto/tls. Like floor.c it keeps no GOPs and no statistics, and a player that takes
// nothing for a while loses its connection.
//
//	tls CERTIFICATE KEY PUBLISH-ADDRESS PLAY-ADDRESS
//	POST /name        publishes the body, an FLV file without end, without TLS
//	GET /name[.flv]   plays it from the next key frame on, with TLS
package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"livego/internal/flv"
)

const (
	head = "HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\nConnection: close\r\n\r\n"
	// patience bounds a write. It is set once in a second, because it costs as much as a small part
	// of one.
	patience = 5 * time.Second
	// Types of tags, and what the first bytes of their bodies say (FLV E.4.1, E.4.3).
	keyFrame  = 1
	header    = 0
	firstByte = 2
)

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: tls CERTIFICATE KEY PUBLISH-ADDRESS PLAY-ADDRESS")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, "tls:", err)
		os.Exit(1)
	}
}

func run(certificate, key, publishAddr, playAddr string) error {
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return err
	}
	publishers, err := net.Listen("tcp", publishAddr)
	if err != nil {
		return err
	}
	viewers, err := tls.Listen("tcp", playAddr, &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}})
	if err != nil {
		return err
	}
	f := &floor{streams: map[string]*stream{}}
	go f.accept(publishers, f.publish)
	f.accept(viewers, f.play)
	return nil
}

type floor struct {
	mu      sync.Mutex
	streams map[string]*stream
}

func (f *floor) stream(request *http.Request) *stream {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := strings.TrimSuffix(request.URL.Path, ".flv")
	s := f.streams[name]
	if s == nil {
		s = &stream{head: flv.AppendFileHeader([]byte(head), true, true)}
		f.streams[name] = s
	}
	return s
}

// accept reads the request of each connection and hands it on.
func (f *floor) accept(l net.Listener, serve func(net.Conn, *bufio.Reader, *http.Request)) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			in := bufio.NewReader(conn)
			_ = conn.SetDeadline(time.Now().Add(patience)) // shows at the read
			request, err := http.ReadRequest(in)
			if err != nil {
				conn.Close()
				return
			}
			serve(conn, in, request)
		}()
	}
}

// play leaves the connection to the publisher's loop.
func (f *floor) play(conn net.Conn, _ *bufio.Reader, request *http.Request) {
	s := f.stream(request)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(s.waiting, conn)
}

// publish reads tags and writes each picture, with the audio before it, to all players.
func (f *floor) publish(conn net.Conn, in *bufio.Reader, request *http.Request) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Time{}) // shows at the read
	s := f.stream(request)
	reader := flv.NewReader(in)
	for {
		tag, err := reader.ReadTag()
		if err != nil {
			return
		}
		s.tag(tag)
	}
}

type stream struct {
	out  []byte // tags since the last picture
	last time.Time

	mu      sync.Mutex
	head    []byte // answer, file header, metadata and sequence headers
	players []net.Conn
	waiting []net.Conn // for a key frame
}

func (s *stream) tag(tag flv.Tag) {
	if len(tag.Body) < firstByte {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if tag.Type == flv.TypeData || tag.Body[1] == header {
		s.head = flv.AppendTag(s.head, tag.Type, tag.TimestampMS, tag.Body)
		return
	}
	at := len(s.out)
	s.out = flv.AppendTag(s.out, tag.Type, tag.TimestampMS, tag.Body)
	if tag.Type != flv.TypeVideo {
		return
	}
	s.deliver(s.players, s.out)
	if tag.Body[0]>>4 == keyFrame {
		s.deliver(s.waiting, append(s.head[:len(s.head):len(s.head)], s.out[at:]...))
		s.players, s.waiting = append(s.players, s.waiting...), nil
	}
	s.out = s.out[:0]
}

// deliver writes to all. One that fails is closed, and fails at once from then on.
func (s *stream) deliver(players []net.Conn, b []byte) {
	now := time.Now()
	fresh := now.Sub(s.last) > time.Second
	if fresh {
		s.last = now
	}
	for _, conn := range players {
		if fresh {
			_ = conn.SetDeadline(now.Add(patience)) // shows at the write
		}
		if _, err := conn.Write(b); err != nil {
			conn.Close()
		}
	}
}
