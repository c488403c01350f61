//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

const (
	// floodFiles is how many descriptors the server has, floodConns how many connections strangers
	// open and leave idle.
	floodFiles, floodConns = 512, 2000
)

// idleConnections are opened on all ports, and nothing is sent over them.
func idleConnections(ctx context.Context, s *server, r *report) error {
	if err := s.publish(ctx, "movie"); err != nil {
		return err
	}
	ports := []string{s.rtmp, s.flv, s.hls, s.api}
	for i := range floodConns {
		conn, err := net.DialTimeout("tcp", ports[i%len(ports)], time.Second)
		if err != nil {
			break // the bounds say what came of it
		}
		defer conn.Close()
	}
	r.did("%d connections to all ports that send nothing, to a server with %d file descriptors", floodConns, floodFiles)
	r.atMost("a new publisher waits", s.took(func(ctx context.Context) error { return s.publish(ctx, "other") }).Seconds(), 2, "s")
	r.atMost("the API waits", s.took(func(context.Context) error {
		_, _, err := s.get("http://"+s.api+"/stat/livestat", 10*time.Second)
		return err
	}).Seconds(), 2, "s")
	r.atMost("a viewer waits", s.took(func(ctx context.Context) error {
		_, err := s.newest(ctx, "movie")
		return err
	}).Seconds(), 8, "s") // the first segment takes some of it
	return nil
}

const (
	// hungryConns each send a part of a large header over TLS, and wait.
	hungryConns  = 4000
	hungryHeader = 12 << 10
	// memoryPatience is how long memory may take to come back, and maxLeft how much of it may not,
	// in MB.
	memoryPatience, maxLeft = time.Minute, 60
)

// memoryReturns looks at what the server keeps of the memory that many connections took.
func memoryReturns(ctx context.Context, s *server, r *report) error {
	if err := s.publish(ctx, "movie"); err != nil {
		return err
	}
	if _, err := s.newest(ctx, "movie"); err != nil {
		return err
	}
	before := s.memory()
	var conns []net.Conn
	for range hungryConns {
		conn, err := tls.Dial("tcp", s.hls, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			return err
		}
		conns = append(conns, conn)
		_, _ = conn.Write([]byte("GET / HTTP/1.1\r\nCookie: " + strings.Repeat("a", hungryHeader)))
	}
	most := s.memory()
	for _, conn := range conns {
		conn.Close()
	}
	begin, left := time.Now(), most
	for left-before > maxLeft && time.Since(begin) < memoryPatience {
		time.Sleep(time.Second)
		left = s.memory()
	}
	r.did("%d connections over TLS that send %d KiB of a header, and go", hungryConns, hungryHeader>>10)
	r.atMost("memory more meanwhile", most-before, 120.0*hungryConns/1000, "MB")
	r.atMost("memory more a minute later", left-before, maxLeft, "MB")
	r.atMost("which took", time.Since(begin).Seconds(), memoryPatience.Seconds(), "s")
	return nil
}

const (
	quicDials  = 2000
	quicPeriod = 4 * time.Second
	// quicWhole is how many handshakes get through before, which says what one costs on this
	// machine as it is, quicCost what each of the others may, in ms, or half as much as such a one.
	quicWhole = 50
	quicCost  = 0.8
)

// deaf is a socket that sends and never receives, as that of somebody who sends in another's name.
type deaf struct{ net.PacketConn }

func (d deaf) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		if _, _, err := d.PacketConn.ReadFrom(b); err != nil {
			return 0, nil, err
		}
	}
}

// quicHandshakes begins handshakes and leaves them.
func quicHandshakes(ctx context.Context, s *server, r *report) error {
	client := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{http3.NextProtoH3}}
	cpu := s.cpu()
	for range quicWhole {
		conn, err := quic.DialAddr(ctx, s.hls, client, nil)
		if err != nil {
			return err
		}
		_ = conn.CloseWithError(0, "")
	}
	whole := milliseconds(s.cpu()-cpu) / quicWhole
	time.Sleep(time.Second) // what is free in a second is free again
	memory, cpu := s.memory(), s.cpu()
	target, err := net.ResolveUDPAddr("udp", s.hls)
	if err != nil {
		return err
	}
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true"); err != nil { // nothing is received
		return err
	}
	transport := quic.Transport{Conn: deaf{socket}}
	var dials sync.WaitGroup
	for range quicDials {
		time.Sleep(quicPeriod / quicDials)
		dials.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, time.Second/2)
			defer cancel()
			_, _ = transport.Dial(ctx, target, client, nil)
		})
	}
	honest := s.took(func(ctx context.Context) error {
		conn, err := quic.DialAddr(ctx, s.hls, client, nil)
		if err == nil {
			_ = conn.CloseWithError(0, "")
		}
		return err
	})
	grown := s.memory() - memory
	dials.Wait()
	r.did("%d handshakes of QUIC in %v that get no further, by addresses that do not answer", quicDials, quicPeriod)
	r.atMost("CPU time per handshake (of one that gets through "+figure(whole)+" ms)", milliseconds(s.cpu()-cpu)/quicDials, max(quicCost, whole/2), "ms")
	r.atMost("memory more", grown, 60, "MB")
	r.atMost("somebody else waits for a connection", honest.Seconds(), 2, "s")
	_ = transport.Close()
	return socket.Close()
}
